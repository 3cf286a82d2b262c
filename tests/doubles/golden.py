"""What the planner must answer for models of published sizes on machines one may buy."""

GB = 10**9

# Verdict, and how many of the model's expert layers are on GPUs and in RAM.
GOLDEN = {
    "UD-TQ1_0": {
        "laptop-16gb": ("disk", 0, 0),
        "h100-64gb": ("disk", 18, 14),
        "h100-512gb": ("gpu+ram", 18, 42),
        "2xh100-512gb": ("gpu+ram", 39, 21),
        "8xh200": ("gpu", 60, 0),
    },
    "UD-Q2_K_XL": {
        "laptop-16gb": ("disk", 0, 0),
        "h100-64gb": ("disk", 11, 9),
        "h100-512gb": ("gpu+ram", 11, 49),
        "2xh100-512gb": ("gpu+ram", 25, 35),
        "8xh200": ("gpu", 60, 0),
    },
    "Q4_K_M": {
        "laptop-16gb": ("no", 0, 0),
        "h100-64gb": ("disk", 6, 5),
        "h100-512gb": ("disk", 6, 49),
        "2xh100-512gb": ("gpu+ram", 14, 46),
        "8xh200": ("gpu", 60, 0),
    },
    "K3 UD-IQ1_S": {
        "laptop-16gb": ("no", 0, 0),
        "h100-64gb": ("disk", 7, 6),
        "h100-512gb": ("disk", 7, 59),
        "2xh100-512gb": ("gpu+ram", 17, 52),
        "8xh200": ("gpu", 69, 0),
    },
    "K3 Q4": {
        "laptop-16gb": ("no", 0, 0),
        "h100-64gb": ("disk", 3, 2),
        "h100-512gb": ("disk", 3, 24),
        "2xh100-512gb": ("disk", 6, 24),
        "8xh200": ("gpu+ram", 54, 15),
    },
    "gpt-oss-120b": {
        "laptop-16gb": ("disk", 0, 3),
        "h100-64gb": ("gpu", 36, 0),
        "h100-512gb": ("gpu", 36, 0),
        "2xh100-512gb": ("gpu", 36, 0),
        "8xh200": ("gpu", 36, 0),
    },
}
PUBLISHED_BYTES = {
    "UD-TQ1_0": 245 * GB,
    "UD-Q2_K_XL": 381 * GB,
    "Q4_K_M": 579 * 2**30,
    "K3 UD-IQ1_S": 594 * GB,
    "K3 Q4": 1_509 * GB,
    "gpt-oss-120b": 65 * GB,
}
