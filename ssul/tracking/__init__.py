"""What runs leave in MLflow, beside the reports and never in their way. The only package that knows mlflow."""
