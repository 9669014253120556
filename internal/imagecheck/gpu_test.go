// SPDX-License-Identifier: Apache-2.0

package imagecheck

import (
	"strings"
	"testing"

	fx "firn.dev/firn/internal/imagecheck/imagetest"
)

// owning is an installed wheel that owns shared libraries of 1000 bytes.
func owning(name, version string, libraries ...string) []fx.Entry {
	list := []fx.Entry{fx.Wheel(fx.Site, name, version)}
	var record strings.Builder
	for _, l := range libraries {
		record.WriteString(l + ",sha256=x,1000\n")
		list = append(list, fx.File(fx.Site+"/"+l, strings.Repeat("x", 1000)))
	}
	dir := strings.TrimSuffix(list[0].Name, "/METADATA")
	return append(list, fx.File(dir+"/RECORD", "a.py,,\n"+record.String()+dir+"/RECORD,,\n"))
}

func gpuImage(kind string, env []string, groups ...[]fx.Entry) *fx.Image {
	var all []fx.Entry
	for _, g := range groups {
		all = append(all, g...)
	}
	img := with(all...)
	if kind != "" {
		img.Config["Labels"] = map[string]string{"BASE_IMAGE_TYPE": kind}
	}
	img.Config["Env"] = append(img.Config["Env"].([]string), env...)
	return img
}

func TestGPU(t *testing.T) {
	t.Parallel()
	runtime := owning("nvidia-cuda-runtime-cu12", "12.4.127", "nvidia/cuda_runtime/lib/libcudart.so.12")
	runtime13 := owning("nvidia-cuda-runtime", "13.0.96", "nvidia/cu13/lib/libcudart.so.13")
	nccl12 := owning("nvidia-nccl-cu12", "2.27.5", "nvidia/nccl/lib/libnccl.so.2")
	nccl13 := owning("nvidia-nccl-cu13", "2.28.3", "nvidia/nccl/lib/libnccl.so.2")
	torch := func(version, cuda string) []fx.Entry {
		return []fx.Entry{fx.Wheel(fx.Site, "torch", version), fx.File(fx.Site+"/torch/version.py",
			"from typing import Optional\n__version__ = '"+version+"'\ndebug = False\ncuda: Optional[str] = "+cuda+"\n")}
	}
	wheel := func(name, version string) []fx.Entry { return []fx.Entry{fx.Wheel(fx.Site, name, version)} }
	system := []fx.Entry{fx.File("usr/local/cuda-11.8/lib64/libcudart.so.11.8.89", "x"), fx.File("usr/local/cuda-11.8/lib64/stubs/libcuda.so", "x")}
	for name, x := range map[string]struct {
		img     *fx.Image
		id      string
		status  Status
		message string
	}{
		"none":                       {gpuImage("", nil), "gpu_cuda", Skip, "no CUDA"},
		"none, driver":               {gpuImage("CPU", nil), "gpu_driver", Skip, "no CUDA"},
		"none on a GPU base":         {gpuImage("GPU", nil), "gpu_cuda", Fail, "no CUDA libraries"},
		"CPU image":                  {gpuImage("CPU", nil, runtime, nccl12), "gpu_cuda", Warn, "2 CUDA libraries (2.0 KiB)"},
		"CPU image, driver":          {gpuImage("CPU", nil, runtime), "gpu_driver", Skip, "CPUs"},
		"GPU image":                  {gpuImage("GPU", nil, runtime), "gpu_cuda", Pass, "1 CUDA libraries"},
		"unknown type":               {gpuImage("", nil, runtime), "gpu_cuda", Pass, "1 CUDA"},
		"driver of 12":               {gpuImage("GPU", nil, runtime), "gpu_driver", Pass, "525.60.13 or later: nvidia-cuda-runtime-cu12 12.4.127 is built for CUDA 12.4"},
		"driver of 13":               {gpuImage("GPU", nil, runtime13), "gpu_driver", Pass, "580.65.06"},
		"driver by torch":            {gpuImage("GPU", nil, nccl13, torch("2.15.0", "'13.0'")), "gpu_driver", Pass, "torch 2.15.0 is built for CUDA 13.0"},
		"driver of the system":       {gpuImage("GPU", nil, system), "gpu_driver", Pass, "450.80.02"},
		"driver by variable":         {gpuImage("GPU", []string{"CUDA_VERSION=12.9.1"}, system), "gpu_driver", Pass, "CUDA 12.9"},
		"driver unknown":             {gpuImage("GPU", nil, []fx.Entry{fx.File("opt/libcublas.so.99", "")}), "gpu_driver", Skip, "cannot be told"},
		"driver of the future":       {gpuImage("GPU", nil, owning("nvidia-cuda-runtime", "17.0", "x/libcudart.so.17")), "gpu_driver", Warn, "not known"},
		"declares too little":        {gpuImage("GPU", []string{"NVIDIA_REQUIRE_CUDA=cuda>=12.1 brand=tesla,driver>=470"}, runtime13), "gpu_driver", Warn, "asks for CUDA 12.1"},
		"declares enough":            {gpuImage("GPU", []string{"NVIDIA_REQUIRE_CUDA=cuda>=12.1"}, runtime), "gpu_driver", Pass, ""},
		"brings a driver":            {gpuImage("GPU", nil, runtime, []fx.Entry{fx.File("usr/lib/libcuda.so.1", "x")}), "gpu_driver", Warn, "/usr/lib/libcuda.so.1"},
		"agreement":                  {gpuImage("GPU", nil, runtime, nccl12, torch("2.4.0+cu124", "'12.4'"), wheel("torchvision", "0.19+cu124")), "gpu_versions", Pass, "4 packages agree on CUDA 12"},
		"two tags":                   {gpuImage("GPU", nil, runtime, torch("2.4.0+cu124", "'12.4'"), wheel("torchvision", "0.19+cu121")), "gpu_versions", Warn, "torchvision 0.19+cu121 (CUDA 12.1)"},
		"two majors":                 {gpuImage("GPU", nil, runtime, wheel("cupy-cuda11x", "13.0")), "gpu_versions", Warn, "cupy-cuda11x 13.0 (CUDA 11)"},
		"torch of another major":     {gpuImage("GPU", nil, runtime, torch("2.15.0", "'13.0'")), "gpu_versions", Warn, "torch 2.15.0 (CUDA 13.0)"},
		"stand-in without libraries": {gpuImage("GPU", nil, runtime13, wheel("nvidia-nccl-cu12", "2.27.5+stub")), "gpu_versions", Pass, ""},
		"CPU wheel":                  {gpuImage("GPU", nil, runtime, torch("2.4.0+cpu", "None"), wheel("xgboost-cpu", "3")), "gpu_wheels", Warn, "2 packages were built without CUDA: torch 2.4.0+cpu; xgboost-cpu 3"},
		"CPU torch without a tag":    {gpuImage("GPU", nil, runtime, torch("2.4.0", "None")), "gpu_wheels", Warn, "torch 2.4.0"},
		"jax without plugin":         {gpuImage("GPU", nil, runtime, wheel("jaxlib", "0.5")), "gpu_wheels", Warn, "jaxlib 0.5"},
		"jax with plugin":            {gpuImage("GPU", nil, runtime, wheel("jaxlib", "0.5"), wheel("jax-cuda12-plugin", "0.5")), "gpu_wheels", Pass, ""},
		"CPU wheel in a CPU image":   {gpuImage("CPU", nil, torch("2.4.0+cpu", "None")), "gpu_wheels", Skip, ""},
		"two owners":                 {gpuImage("GPU", nil, nccl12, nccl13), "gpu_files", Warn, "nvidia/nccl/lib/libnccl.so.2 (nvidia-nccl-cu12, nvidia-nccl-cu13)"},
		"one owner":                  {gpuImage("GPU", nil, nccl12, runtime), "gpu_files", Pass, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := result(t, run(t, x.img, options(t, PolicyDefault)), x.id)
			if c.Status != x.status || !strings.Contains(c.Message, x.message) {
				t.Errorf("%s is %s: %s", x.id, c.Status, c.Message)
			}
		})
	}
}

func TestGPUFilesThatAreGone(t *testing.T) {
	t.Parallel()
	lib := "nvidia/nccl/lib/libnccl.so.2"
	img := fx.New(fx.Tar(fx.Good()...), fx.Tar(append(owning("a", "1", lib, "x/libcudart.so.12"), owning("b", "1", lib)...)...), fx.Tar(fx.Whiteout(fx.Site+"/"+lib)))
	if c := result(t, run(t, img, options(t, PolicyDefault)), "gpu_files"); c.Status != Pass {
		t.Errorf("gpu_files is %s: %s", c.Status, c.Message)
	}
}
