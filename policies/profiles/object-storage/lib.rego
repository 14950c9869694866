# What the rules of this profile share: which buckets are judged, and how it is said.
package muster.object_storage.lib

import rego.v1

# The buckets, and the repository where it lies in none: there must be something to speak of.
resources contains bucket.name if some bucket in input.buckets

resources contains "repository" if input.repository.scheme == "file"

# A resource with a message, the element of every outcome.
says(resource, message) := {"resource": resource, "message": message}

# What no rule here is about.
others contains says("repository", "a local directory is not a bucket") if input.repository.scheme == "file"

# Why a fact is not known, and which permission is missing, in the collector's words.
missing(bucket, fact) := sprintf("%s is not known: %s", [fact, bucket[fact].reason]) if bucket[fact].reason != null

missing(bucket, fact) := sprintf("%s is not known", [fact]) if bucket[fact].reason == null
