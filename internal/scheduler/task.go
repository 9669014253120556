// SPDX-License-Identifier: Apache-2.0

package scheduler

import (
	"fmt"
	"maps"
	"path"
	"strconv"
	"strings"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/compute"
	"firn.dev/firn/internal/errs"
)

// The labels by which a container tells whose it is.
const (
	labelJob      = "dev.firn.job"
	labelInstance = "dev.firn.instance"
)

// tokenPath is where programs in containers look for their login.
// https://docs.snowflake.com/en/developer-guide/snowpark-container-services/spcs-execute-sql
const tokenPath = "/snowflake/session/token"

// Limits of processes and threads: far above what a training job with many workers has, far below what hurts the host.
const (
	jobPIDs   = 16384
	checkPIDs = 1024
)

// taskID names the container of an instance.
func taskID(job catalog.ID, instance int) compute.TaskID {
	return compute.TaskID(fmt.Sprintf("%s-%d", job, instance))
}

// site is what a task takes from the installation, beside its job.
type site struct {
	registry string
	login    compute.Login
	door     ContainerDoor
	account  string
	token    errs.Secret
	capacity *compute.Capacity // of the engine
	dirs     []string          // host directory of each mount
}

// task turns an instance of a job into what the backend runs. It is a pure function.
func task(j *catalog.Job, instance int, at site) compute.Task {
	p := j.Plan
	cpu, memory, gpus := fit(at.capacity, p.CPU, p.Memory, p.GPUs)
	t := compute.Task{
		ID:        taskID(j.ID, instance),
		Labels:    map[string]string{labelJob: string(j.ID), labelInstance: strconv.Itoa(instance)},
		Image:     at.registry + "/" + repository(j.Image) + "@" + j.Digest,
		PullLogin: at.login,
		Command:   p.Command,
		Args:      p.Args,
		Env:       maps.Clone(p.Env),
		CPU:       cpu,
		Memory:    memory,
		SharedMem: p.SharedMem,
		PIDs:      jobPIDs,
		GPUs:      gpus,
		Network:   "job",
		Timeout:   p.Timeout,
	}
	for i, m := range p.Mounts {
		t.Mounts = append(t.Mounts, compute.Mount{Source: at.dirs[i], Target: m.Target})
	}
	if p.Isolated {
		t.Network, t.ReadOnly, t.PIDs = "none", true, checkPIDs
		return t
	}
	if j.Replicas > 1 {
		t.Group = string(j.ID)
	}
	if t.Env == nil {
		t.Env = map[string]string{}
	}
	// Without a proxy of its own the container reaches the server directly, whatever its image says of proxies.
	for _, key := range []string{"NO_PROXY", "no_proxy"} {
		if _, set := p.Env[key]; !set {
			t.Env[key] = "*"
		}
	}
	maps.Copy(t.Env, sessionEnv(j, instance, at))
	t.Files = []compute.File{{Path: tokenPath, Content: at.token}}
	return t
}

// sessionEnv is what Snowflake's own clients read in a container.
// https://docs.snowflake.com/en/developer-guide/snowpark-container-services/spcs-execute-sql
func sessionEnv(j *catalog.Job, instance int, at site) map[string]string {
	return map[string]string{
		"SNOWFLAKE_HOST":         at.door.Host,
		"SNOWFLAKE_PORT":         strconv.Itoa(at.door.Port),
		"SNOWFLAKE_PROTOCOL":     "http",
		"SNOWFLAKE_SSL":          "off",
		"SNOWFLAKE_ACCOUNT":      at.account,
		"SNOWFLAKE_DATABASE":     or(j.Plan.Session.Database, j.Database),
		"SNOWFLAKE_SCHEMA":       or(j.Plan.Session.Schema, j.Schema),
		"SNOWFLAKE_WAREHOUSE":    j.Plan.Session.Warehouse,
		"SNOWFLAKE_SERVICE_NAME": j.Name,
		"SNOWFLAKE_JOB_INDEX":    strconv.Itoa(instance),
		"SNOWFLAKE_JOBS_COUNT":   strconv.Itoa(max(j.Replicas, 1)),
	}
}

// or is the first text unless it is empty.
func or(first, second string) string {
	if first == "" {
		return second
	}
	return first
}

// repository is an image path without slash, tag and digest: what registries call it.
func repository(image string) string {
	image, _, _ = strings.Cut(image, "@")
	dir, name := path.Split(strings.TrimPrefix(image, "/"))
	name, _, _ = strings.Cut(name, ":")
	return strings.ToLower(dir + name)
}
