"""The workspace: pages that the server renders, for staff and administrators."""
