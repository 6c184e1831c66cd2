"""What commands do, one file a job: a request in, a frozen result out."""
