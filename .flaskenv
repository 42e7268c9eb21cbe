# What `flask run`, `flask routes` and `flask shell` work on; Snapport's own commands need it not.
FLASK_APP=portal.app
