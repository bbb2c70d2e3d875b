"""A door controller and a camera to rehearse a site with."""
