"""How a viewer reaches a kernel: message policy, bindings of kernels to notebooks and viewers."""
