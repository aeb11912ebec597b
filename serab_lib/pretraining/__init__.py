"""Pre-training of BYOL-A, BYOL-S and BYOL-S/CvT encoders from audio files: `serab_lib.pretraining.train.pretrain`."""
