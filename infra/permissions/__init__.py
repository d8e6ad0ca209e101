"""What the deploying identity must be allowed: from each registered type of resource to exact permissions.

`python -m infra.permissions` (`make permissions`) writes docs/permissions/. A test holds that every type that
the program registers has its entry, that no entry is left over, and that the documents are those of the data.
Each cloud's file names its sources. That the lists are complete only a deployment can show: a refusal names
what is missing, and that belongs into the list.
"""
