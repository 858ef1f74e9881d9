// Needed by every CUDA entry point: device guard, current stream, launch check.

#pragma once

#include <cuda_runtime.h>
#include <torch/csrc/inductor/aoti_torch/c/shim.h>
#include <torch/csrc/stable/accelerator.h>

#include "common.h"
#include "mask_values.h"

namespace topo {

// Makes the tensor's device current for a scope and holds that device's current stream.
struct CudaScope {
  explicit CudaScope(const Tensor& tensor) : guard(tensor.get_device_index()) {
    void* pointer = nullptr;
    TORCH_ERROR_CODE_CHECK(aoti_torch_get_current_cuda_stream(tensor.get_device_index(), &pointer));
    stream = static_cast<cudaStream_t>(pointer);
  }
  torch::stable::accelerator::DeviceGuard guard;
  cudaStream_t stream;
};

inline void check_launch(const char* op) {
  const cudaError_t error = cudaGetLastError();
  if (error == cudaErrorNoKernelImageForDevice || error == cudaErrorInvalidDeviceFunction) {
    int device = 0, major = 0, minor = 0;
    cudaGetDevice(&device);
    cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device);
    cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device);
    TOPO_CHECK(false, op, ": this GPU has compute capability ", major, ".", minor,
               ", and the kernels are compiled for ", TOPO_CUDA_ARCHITECTURES,
               ". Install topokernels again with CUDAARCHS=", major, minor, " pip install .");
  }
  TOPO_CHECK(error == cudaSuccess, op, ": CUDA kernel launch failed: ", cudaGetErrorString(error));
}

}  // namespace topo
