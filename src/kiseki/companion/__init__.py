"""The process beside training: brings JSON, CSV and PNG up to date so that the training process never has to."""
