"""Steps that several flows share: each touches one thing, a guest or a part of the cloud."""
