# What the recipe is made for.
export DIB_RELEASE=${DIB_RELEASE:-trixie}
