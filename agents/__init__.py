"""The work on partitions: one task for each, and the Faust agent and timer that drive them."""
