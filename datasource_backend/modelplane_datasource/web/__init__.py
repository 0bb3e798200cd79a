"""What all routes share: parameters, schemas, responses, errors, middleware."""
