// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"fmt"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
)

// container is the one container of a job's specification.
//
// Errors: Unsupported when there are several.
func (d *serviceDoc) container() (*serviceContainer, error) {
	if len(d.Spec.Containers) > 1 {
		names := []string{}
		for _, c := range d.Spec.Containers {
			names = append(names, c.Name)
		}
		return nil, errs.New(errs.Unsupported, "the specification has the containers %s: a job of Firn runs one container", strings.Join(names, ", "))
	}
	return &d.Spec.Containers[0], nil
}

// mountedStages lists the stage volumes that the container mounts, with where it sees them, outer directories first.
func (d *serviceDoc) mountedStages(c *serviceContainer) []stageMountRef {
	var out []stageMountRef
	for _, m := range c.Mounts {
		for i := range d.Spec.Volumes {
			if v := &d.Spec.Volumes[i]; v.Name == m.Name && v.stageText() != "" {
				out = append(out, stageMountRef{v, path.Clean(m.Path)})
			}
		}
	}
	slices.SortStableFunc(out, func(a, b stageMountRef) int { return strings.Compare(a.target, b.target) })
	return out
}

// stageMountRef is a stage volume and where the container sees it.
type stageMountRef struct {
	volume *serviceVolume
	target string
}

// wanted is what one instance asks for: its limits, else its requests, and at most what the instance family has.
//
// Errors: Invalid for a quantity that does not parse.
func (c *serviceContainer) wanted(family instanceSize) (instanceSize, error) {
	out := family
	ask := func(key string) scalar {
		if v, ok := c.Resources.Limits[key]; ok {
			return v
		}
		return c.Resources.Requests[key]
	}
	if q := ask("cpu"); q != "" {
		n, err := quantity(string(q))
		if err != nil || n <= 0 {
			return out, badSpec("container '%s': invalid cpu '%s'; write 2, 0.5 or 500m", c.Name, q)
		}
		out.cpu = min(n, family.cpu)
	}
	if q := ask("memory"); q != "" {
		n, err := quantity(string(q))
		if err != nil || n < 1<<20 {
			return out, badSpec("container '%s': invalid memory '%s'; write 6Gi or 512Mi", c.Name, q)
		}
		out.memory = int64(math.Min(n, float64(family.memory)))
	}
	if q := ask("nvidia.com/gpu"); q != "" {
		n, err := strconv.Atoi(string(q))
		if err != nil || n < 0 {
			return out, badSpec("container '%s': invalid nvidia.com/gpu '%s'; write a whole number", c.Name, q)
		}
		if n > family.gpus {
			return out, errs.New(errs.Refused, "container '%s' asks for %d GPUs, an instance of this compute pool has %d", c.Name, n, family.gpus)
		}
		out.gpus = n
	}
	return out, nil
}

// quantity reads an amount of Kubernetes: 2, 0.5, 500m, 6Gi, 512Mi, 1G.
func quantity(text string) (float64, error) {
	digits := strings.TrimRight(text, "mkMGTKi")
	unit, ok := map[string]float64{
		"": 1, "m": 1e-3, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40,
	}[text[len(digits):]]
	n, err := strconv.ParseFloat(digits, 64)
	if err != nil || !ok || math.IsNaN(n) || math.IsInf(n, 0) || n < 0 {
		return 0, fmt.Errorf("no quantity: %q", text)
	}
	return n * unit, nil
}

// sharedMemory is the size of the memory volume that the container sees as /dev/shm, at most its memory; 0 when there is none.
func (d *serviceDoc) sharedMemory(c *serviceContainer, size instanceSize) (int64, error) {
	for _, m := range c.Mounts {
		for _, v := range d.Spec.Volumes {
			if v.Name != m.Name || v.Source != "memory" || path.Clean(m.Path) != "/dev/shm" {
				continue
			}
			n, err := quantity(string(v.Size))
			if err != nil || n < 1 {
				return 0, badSpec("volume '%s': invalid size '%s'; write 2Gi", v.Name, v.Size)
			}
			return int64(math.Min(n, float64(size.memory))), nil
		}
	}
	return 0, nil
}

// plan is what the containers of the job get.
func (d *serviceDoc) plan(c *serviceContainer, size instanceSize, mounts []catalog.Mount) (catalog.Plan, error) {
	shared, err := d.sharedMemory(c, size)
	if err != nil {
		return catalog.Plan{}, err
	}
	env := map[string]string{}
	for k, v := range c.Env {
		env[k] = string(v)
	}
	p := catalog.Plan{
		Args: texts(c.Args), Env: env, Mounts: mounts, CPU: size.cpu, Memory: size.memory, SharedMem: shared, GPUs: size.gpus,
	}
	if len(c.Command) > 0 {
		p.Command = texts(c.Command)
	}
	return p, nil
}
