"""A run on the Hugging Face Hub: what would be uploaded, and the upload."""
