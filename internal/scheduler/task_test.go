// SPDX-License-Identifier: Apache-2.0

package scheduler

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/compute"
)

func TestTask(t *testing.T) {
	t.Parallel()
	at := site{
		registry: "127.0.0.1:8085", login: compute.Login{User: "puller", Password: "p"}, door: ContainerDoor{Host: "172.20.0.1", Port: 8086},
		account: "FIRN", capacity: &compute.Capacity{CPU: 2, Memory: 8 << 30, GPUs: 1}, token: "secret", dirs: []string{"/work/a", "/work/b"},
	}
	plan := catalog.Plan{
		Args: []string{"bash", "startup.sh"}, Env: map[string]string{"X": "1", "SNOWFLAKE_HOST": "evil"}, CPU: 6, Memory: 28 << 30, SharedMem: 1 << 30, GPUs: 4,
		Timeout: time.Hour, Session: catalog.SessionDefaults{Database: "SDB", Schema: "SS", Warehouse: "WH"},
		Mounts: []catalog.Mount{{Stage: "s", Path: "d", Target: "/mnt/job_stage"}, {Stage: "s", Path: "d/J", Target: "/mnt/job_result"}},
	}
	full := &catalog.Job{
		ID: "01-02", Kind: "ML JOB", Database: "DB", Schema: "S", Name: "J", Image: "/DB/S/Repo/dir/image:v1.2", Digest: "sha256:aa", Replicas: 2, Plan: plan,
	}
	check := &catalog.Job{
		ID: "03", Kind: "CHECK", Image: "/db/s/repo/image@sha256:bb", Digest: "sha256:bb",
		Plan: catalog.Plan{Command: []string{"python"}, Args: []string{"-c", "1"}, Env: map[string]string{"A": "b"}, CPU: 1, Memory: 1 << 30, Isolated: true},
	}
	bare := &catalog.Job{
		ID: "04", Database: "DB", Schema: "S", Name: "J", Image: "/db/s/r/i:t", Digest: "sha256:cc",
		Plan: catalog.Plan{Env: map[string]string{"NO_PROXY": "10.0.0.1", "HTTPS_PROXY": "http://10.0.0.1:1"}},
	}
	env := func(more map[string]string) map[string]string {
		all := map[string]string{
			"NO_PROXY": "*", "no_proxy": "*", "SNOWFLAKE_HOST": "172.20.0.1", "SNOWFLAKE_PORT": "8086", "SNOWFLAKE_PROTOCOL": "http",
			"SNOWFLAKE_SSL": "off", "SNOWFLAKE_ACCOUNT": "FIRN", "SNOWFLAKE_DATABASE": "DB", "SNOWFLAKE_SCHEMA": "S",
			"SNOWFLAKE_WAREHOUSE": "", "SNOWFLAKE_SERVICE_NAME": "J", "SNOWFLAKE_JOB_INDEX": "0", "SNOWFLAKE_JOBS_COUNT": "1",
		}
		for k, v := range more {
			all[k] = v
		}
		return all
	}
	token := []compute.File{{Path: "/snowflake/session/token", Content: "secret"}}
	tests := []struct {
		name     string
		job      *catalog.Job
		instance int
		want     compute.Task
	}{
		{"second of two", full, 1, compute.Task{
			ID: "01-02-1", Labels: map[string]string{"dev.firn.job": "01-02", "dev.firn.instance": "1"},
			Image: "127.0.0.1:8085/db/s/repo/dir/image@sha256:aa", PullLogin: at.login, Args: plan.Args,
			Env: env(map[string]string{"X": "1", "SNOWFLAKE_DATABASE": "SDB", "SNOWFLAKE_SCHEMA": "SS", "SNOWFLAKE_WAREHOUSE": "WH",
				"SNOWFLAKE_JOB_INDEX": "1", "SNOWFLAKE_JOBS_COUNT": "2"}),
			Files:  token,
			Mounts: []compute.Mount{{Source: "/work/a", Target: "/mnt/job_stage"}, {Source: "/work/b", Target: "/mnt/job_result"}},
			CPU:    2, Memory: 7 << 30, SharedMem: 1 << 30, PIDs: jobPIDs, GPUs: 1, Network: "job", Group: "01-02", Timeout: time.Hour,
		}},
		{"check", check, 0, compute.Task{
			ID: "03-0", Labels: map[string]string{"dev.firn.job": "03", "dev.firn.instance": "0"}, Image: "127.0.0.1:8085/db/s/repo/image@sha256:bb",
			PullLogin: at.login, Command: []string{"python"}, Args: []string{"-c", "1"}, Env: map[string]string{"A": "b"},
			CPU: 1, Memory: 1 << 30, PIDs: checkPIDs, Network: "none", ReadOnly: true,
		}},
		{"with a proxy of its own", bare, 0, compute.Task{
			ID: "04-0", Labels: map[string]string{"dev.firn.job": "04", "dev.firn.instance": "0"}, Image: "127.0.0.1:8085/db/s/r/i@sha256:cc",
			PullLogin: at.login, Env: env(map[string]string{"NO_PROXY": "10.0.0.1", "HTTPS_PROXY": "http://10.0.0.1:1"}),
			Files: token, PIDs: jobPIDs, Network: "job",
		}},
	}
	for _, tt := range tests {
		before := len(tt.job.Plan.Env)
		if diff := cmp.Diff(tt.want, task(tt.job, tt.instance, at)); diff != "" {
			t.Errorf("%s: %s", tt.name, diff)
		}
		if len(tt.job.Plan.Env) != before {
			t.Errorf("%s: the job's own environment was changed", tt.name)
		}
	}
}
