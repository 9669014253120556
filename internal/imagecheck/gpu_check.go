// SPDX-License-Identifier: Apache-2.0

package imagecheck

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// driverFloors are the oldest drivers that run programs of a major version of CUDA, by NVIDIA's table of minor version
// compatibility.
var driverFloors = map[int]string{11: "450.80.02", 12: "525.60.13", 13: "580.65.06"}

// gpuSteps are the checks on CUDA; all are skipped for images that have none and need none.
func (c *checker) gpuSteps() []step {
	return []step{
		{"gpu_cuda", c.checkCUDA}, {"gpu_driver", c.checkDriver}, {"gpu_versions", c.checkCUDAVersions}, {"gpu_wheels", c.checkCPUWheels},
		{"gpu_files", c.checkOverlaps},
	}
}

// withoutCUDA is the answer of the checks that have nothing to look at.
func (c *checker) withoutCUDA() (CheckResult, bool) {
	return skip("the image has no CUDA libraries"), c.gpu.libraries == 0
}

func (c *checker) checkCUDA() CheckResult {
	amount := fmt.Sprintf("%d CUDA libraries (%s)", c.gpu.libraries, sizeText(c.gpu.bytes))
	switch kind := c.baseType(); {
	case c.gpu.libraries == 0 && kind == "GPU":
		return found(Fail, "RUN pip install torch, or another build with CUDA", "image is for GPUs, but has no CUDA libraries")
	case c.gpu.libraries == 0:
		return skip("the image has no CUDA libraries")
	case kind == "CPU":
		return found(Warn, "RUN pip install torch --index-url https://download.pytorch.org/whl/cpu, or use a GPU base",
			"image is for CPUs, but carries %s", amount)
	}
	return pass("image has %s", amount)
}

func (c *checker) checkDriver() CheckResult {
	if r, none := c.withoutCUDA(); none {
		return r
	}
	if c.baseType() == "CPU" {
		return skip("the image is for CPUs")
	}
	if len(c.gpu.drivers) > 0 {
		n := c.gpu.drivers[0]
		r := found(Warn, "RUN rm "+"/"+n.Path, "image brings its own driver library /%s, which hides the one of the node", n.Path)
		for _, n := range c.gpu.drivers {
			r.Evidence = append(r.Evidence, c.evidence(n.Layer, "/"+n.Path, "driver library"))
		}
		return r
	}
	needed, ok := c.gpu.needed()
	if !ok {
		return skip("which CUDA the image needs cannot be told from its files")
	}
	floor, ok := driverFloors[needed.cuda.major]
	if !ok {
		return found(Warn, "look up the driver for CUDA "+needed.cuda.String(), "%s needs CUDA %s, of which the oldest driver is not known", needed.what, needed.cuda)
	}
	if declared, ok := declaredCUDA(c.config.env()["NVIDIA_REQUIRE_CUDA"]); ok && declared.major < needed.cuda.major {
		return found(Warn, fmt.Sprintf("ENV NVIDIA_REQUIRE_CUDA=\"cuda>=%d.0\"", needed.cuda.major),
			"NVIDIA_REQUIRE_CUDA asks for CUDA %s, but %s needs %s (driver %s or later)", declared, needed.what, needed.cuda, floor)
	}
	r := pass("needs NVIDIA driver %s or later: %s is built for CUDA %s", floor, needed.what, needed.cuda)
	r.Evidence = c.claimed(c.gpu.claims)
	return r
}

// declaredCUDA reads the lowest version of "cuda>=12.1 brand=..."; alternatives are separated by spaces.
func declaredCUDA(text string) (cudaVersion, bool) {
	lowest, found := cudaVersion{}, false
	for word := range strings.FieldsSeq(text) {
		for clause := range strings.SplitSeq(word, ",") {
			m := cudaDotted.FindStringSubmatch(clause)
			if !strings.HasPrefix(clause, "cuda>=") || m == nil {
				continue
			}
			var v cudaVersion
			v.major, _ = strconv.Atoi(m[1])
			v.minor, _ = strconv.Atoi(m[2])
			if !found || v.compare(lowest) < 0 {
				lowest, found = v, true
			}
		}
	}
	return lowest, found
}

func (c *checker) claimed(claims []cudaClaim) []Evidence {
	var list []Evidence
	for _, one := range claims {
		detail := one.what + " is built for CUDA " + one.cuda.String()
		if one.cuda.major == 0 {
			detail = one.what + " is built without CUDA"
		}
		list = append(list, c.evidence(-1, one.path, detail))
	}
	return list
}

// checkCUDAVersions wants all wheels to be for one major version, and those of one index for one version.
func (c *checker) checkCUDAVersions() CheckResult {
	if r, none := c.withoutCUDA(); none {
		return r
	}
	var wheels, odd []cudaClaim
	for _, one := range c.gpu.claims {
		if one.wheel {
			wheels = append(wheels, one)
		}
	}
	for _, a := range wheels {
		if slices.ContainsFunc(wheels, func(b cudaClaim) bool {
			return a.cuda.major != b.cuda.major || a.tagged && b.tagged && a.cuda != b.cuda
		}) {
			odd = append(odd, a)
		}
	}
	if len(odd) == 0 {
		if len(wheels) == 0 {
			return pass("no package names a version of CUDA")
		}
		return pass("%d packages agree on CUDA %d", len(wheels), wheels[0].cuda.major)
	}
	texts := make([]string, len(odd))
	for i, one := range odd {
		texts[i] = one.what + " (CUDA " + one.cuda.String() + ")"
	}
	r := found(Warn, "install them together from one index, so that all are for the same CUDA", "packages disagree on CUDA: %s", summary(texts))
	r.Evidence = c.claimed(odd)
	return r
}

func (c *checker) checkCPUWheels() CheckResult {
	if kind := c.baseType(); kind != "GPU" {
		return skip("the image is not marked as one for GPUs")
	}
	if len(c.gpu.cpuOnly) == 0 {
		return pass("no package was built without CUDA")
	}
	texts := make([]string, len(c.gpu.cpuOnly))
	for i, one := range c.gpu.cpuOnly {
		texts[i] = one.what
	}
	r := found(Warn, "install the builds with CUDA instead", "image is for GPUs, but %d packages were built without CUDA: %s", len(texts), summary(texts))
	r.Evidence = c.claimed(c.gpu.cpuOnly)
	return r
}

func (c *checker) checkOverlaps() CheckResult {
	if r, none := c.withoutCUDA(); none {
		return r
	}
	if len(c.gpu.overlaps) == 0 {
		return pass("no shared library belongs to two packages")
	}
	r := CheckResult{Status: Warn}
	var texts []string
	for _, o := range c.gpu.overlaps {
		texts = append(texts, o.Path+" ("+strings.Join(o.Packages, ", ")+")")
		_, n, err := c.tree.Resolve(o.Path)
		at := -1
		if err == nil {
			at = n.Layer
		}
		if len(r.Evidence) < evidenceMax {
			r.Evidence = append(r.Evidence, c.evidence(at, o.Path, "owned by "+strings.Join(o.Packages, " and ")))
		}
	}
	r.Message = fmt.Sprintf("%d shared libraries belong to several packages, and the one installed last has won: %s", len(texts), summary(texts))
	r.Remedy = "keep one of the packages: RUN pip uninstall -y " + c.gpu.overlaps[0].Packages[0] + ", then install the other again"
	return r
}
