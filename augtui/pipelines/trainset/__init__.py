"""The training set generator (section 3.1.3): D_IE, D_IR and D_IRE as chats that augmentation models are trained on."""
