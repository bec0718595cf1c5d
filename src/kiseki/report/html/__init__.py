"""What the HTML report is made of: template, style, scripts, the chart library, and how curves are packed."""
