# Which bucket, `npm run deploy` says: see README.
terraform {
  backend "s3" {}
}
