// SPDX-License-Identifier: Apache-2.0

package imagecheck

import (
	"cmp"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"firn.dev/firn/internal/imagecheck/layer"
	"firn.dev/firn/internal/imagecheck/python"
)

// gpuFacts is what an image says of CUDA without a GPU at hand.
type gpuFacts struct {
	libraries int          // CUDA libraries in the final file system
	bytes     int64        // of them
	drivers   []layer.Node // driver libraries, which belong to the host
	claims    []cudaClaim  // what names a version of CUDA
	cpuOnly   []cudaClaim  // packages that were built without CUDA
	overlaps  []python.Overlap
}

// cudaClaim is one thing that names a version of CUDA, such as "torch 2.4.0+cu121".
type cudaClaim struct {
	what   string
	cuda   cudaVersion // zero for what was built without CUDA
	path   string
	wheel  bool // a package of the primary environment; else the system or the environment variables
	tagged bool // a wheel whose version ends in +cuNNN: all of those come from one index
}

// cudaVersion is "12.4"; minor -1 is unknown.
type cudaVersion struct{ major, minor int }

// String writes "12.4", or "12" when the minor is unknown.
func (v cudaVersion) String() string {
	if v.minor < 0 {
		return strconv.Itoa(v.major)
	}
	return fmt.Sprintf("%d.%d", v.major, v.minor)
}

func (v cudaVersion) compare(o cudaVersion) int {
	return cmp.Or(cmp.Compare(v.major, o.major), cmp.Compare(v.minor, o.minor))
}

var (
	cudaLibrary   = regexp.MustCompile(`^lib(cudart|cublas|cudnn|cufft|curand|cusolver|cusparse|nccl|nvrtc|nvJitLink|nvshmem|cupti|cufile|torch_cuda|c10_cuda)[A-Za-z0-9_-]*\.so(\.|$)`)
	cudaRuntime   = regexp.MustCompile(`^libcudart\.so\.(\d+)\.(\d+)`)
	driverLibrary = regexp.MustCompile(`^lib(cuda|nvidia-ml)\.so(\.|$)`)
	cudaDir       = regexp.MustCompile(`^usr/local/cuda-(\d+)\.(\d+)$`)
	cudaDotted    = regexp.MustCompile(`(\d+)\.(\d+)`)
	cudaTag       = regexp.MustCompile(`\+cu(\d{2})(\d)\b`)
	cudaSuffix    = regexp.MustCompile(`-cu(?:da)?(\d{2})x?(?:-|$)`)
	torchCUDA     = regexp.MustCompile(`(?m)^cuda(?::[^=\n]*)?\s*=\s*(None|['"](\d+)\.(\d+)['"])`)
)

// findGPU collects the facts from the file system and the primary environment.
func (c *checker) findGPU() gpuFacts {
	var f gpuFacts
	c.tree.Walk(func(n layer.Node) {
		if n.Type == layer.Dir && strings.HasPrefix(n.Path, "usr/local/cuda-") && cudaDir.MatchString(n.Path) {
			f.claim(cudaClaim{what: "/" + n.Path, path: "/" + n.Path}, cudaDir.FindStringSubmatch(n.Path))
		}
		if n.Type != layer.File || !strings.Contains(n.Path, ".so") {
			return
		}
		dir, base := path.Split(n.Path)
		switch {
		case !strings.HasPrefix(base, "lib") || strings.Contains(dir, "/stubs/"):
		case driverLibrary.MatchString(base):
			f.drivers = append(f.drivers, n)
		case cudaLibrary.MatchString(base):
			f.libraries++
			f.bytes += n.Size
			if m := cudaRuntime.FindStringSubmatch(base); m != nil && !strings.Contains(dir, "-packages/") {
				f.claim(cudaClaim{what: "/" + n.Path, path: "/" + n.Path}, m)
			}
		}
	})
	slices.SortFunc(f.drivers, func(a, b layer.Node) int { return cmp.Compare(a.Path, b.Path) })
	if m := cudaDotted.FindStringSubmatch(c.config.env()["CUDA_VERSION"]); m != nil {
		f.claim(cudaClaim{what: "ENV CUDA_VERSION=" + c.config.env()["CUDA_VERSION"]}, m)
	}
	if env := c.primary(); env != nil {
		for _, p := range env.Packages {
			f.addPackage(c, env, p)
		}
		for _, o := range env.Overlaps() {
			if _, ok := c.tree.Lookup(o.Path); ok {
				f.overlaps = append(f.overlaps, o)
			}
		}
	}
	slices.SortStableFunc(f.claims, func(a, b cudaClaim) int { return cmp.Compare(a.what, b.what) })
	return f
}

// claim books what names a version, found by a pattern with one or two groups.
func (f *gpuFacts) claim(one cudaClaim, m []string) {
	one.cuda = cudaVersion{minor: -1}
	one.cuda.major, _ = strconv.Atoi(m[1])
	if len(m) > 2 {
		one.cuda.minor, _ = strconv.Atoi(m[2])
	}
	f.claims = append(f.claims, one)
}

// addPackage reads what a distribution says in its version, its name and, for torch, its version.py.
func (f *gpuFacts) addPackage(c *checker, env *python.Environment, p python.Package) {
	one := cudaClaim{what: p.Name + " " + p.Version, path: p.Path, wheel: true}
	tag := cudaTag.FindStringSubmatch(p.Version)
	one.tagged = tag != nil
	switch name := p.Name; {
	case strings.HasSuffix(p.Version, "+cpu"), strings.HasSuffix(name, "-cpu"):
		f.cpuOnly = append(f.cpuOnly, one)
	case name == "jaxlib" && !slices.ContainsFunc(env.Packages, func(o python.Package) bool { return strings.HasPrefix(o.Name, "jax-cuda") }):
		f.cpuOnly = append(f.cpuOnly, one)
	case tag != nil:
		f.claim(one, tag)
	case name == "nvidia-cuda-runtime" || strings.HasPrefix(name, "nvidia-cuda-runtime-cu"):
		if m := cudaDotted.FindStringSubmatch(p.Version); m != nil && len(env.Libraries(name)) > 0 {
			f.claim(one, m)
		}
	case cudaSuffix.MatchString(name):
		// A stand-in that satisfies a requirement and carries nothing needs no CUDA.
		if !strings.HasPrefix(name, "nvidia-") || len(env.Libraries(name)) > 0 {
			f.claim(one, cudaSuffix.FindStringSubmatch(name))
		}
	}
	if p.Name == "torch" && !one.tagged {
		body, _ := c.tree.Body(path.Join(path.Dir(p.Path), "torch/version.py"))
		switch m := torchCUDA.FindSubmatch(body); {
		case m == nil:
		case string(m[1]) == "None" && !strings.HasSuffix(p.Version, "+cpu"):
			f.cpuOnly = append(f.cpuOnly, one)
		case len(m[2]) > 0:
			f.claim(one, []string{"", string(m[2]), string(m[3])})
		}
	}
}

// needed gives the claim of the newest CUDA.
func (f *gpuFacts) needed() (cudaClaim, bool) {
	if len(f.claims) == 0 {
		return cudaClaim{}, false
	}
	return slices.MaxFunc(f.claims, func(a, b cudaClaim) int { return a.cuda.compare(b.cuda) }), true
}

// baseType is "CPU" or "GPU" by what was asked for, the approved base or the image's own labels; "" when nothing says so.
func (c *checker) baseType() string {
	labels, env := c.config.Config.Labels, c.config.env()
	kinds := []string{c.opts.BaseType, "", labels[labelBaseType], labels["BASE_IMAGE_TYPE"], env["BASE_IMAGE_TYPE"]}
	if c.base != nil {
		kinds[1] = c.base.Type
	}
	return strings.ToUpper(cmp.Or(kinds...))
}
