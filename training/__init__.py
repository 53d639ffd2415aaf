"""Training annex: fine-tuning scripts that run as their own processes and speak to augtui through files."""
