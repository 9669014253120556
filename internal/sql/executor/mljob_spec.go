// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"math"
	"strconv"
	"strings"
)

// The names that clients look for in the specification of an ML job.
// https://github.com/snowflakedb/snowflake-ml-python (snowflake/ml/jobs/_utils/constants.py, jobs/job.py)
const (
	mainContainer = "main"
	stageVolume   = "stage-volume"
	resultVolume  = "result-volume"
	stageMount    = "/mnt/job_stage"
	resultMount   = "/mnt/job_result"
	resultFile    = "mljob_result"
	rayDashboard  = "ray-dashboard-endpoint"
)

// gib is the number of bytes in a GiB.
const gib = 1 << 30

// instanceSize is what one instance of a job gets.
type instanceSize struct {
	cpu    float64 // cores
	memory int64   // bytes
	gpus   int
}

func (f Family) size() instanceSize {
	return instanceSize{cpu: float64(f.CPU), memory: int64(f.Memory) * gib, gpus: f.GPUs}
}

// mlJobDoc makes the service specification of an ML job.
func mlJobDoc(spec mlJobSpec, options mlJobOptions, image, stage, jobName string, size instanceSize) *serviceDoc {
	container := serviceContainer{
		Name: mainContainer, Image: scalar(image), Command: scalars(spec.Entrypoint), Args: scalars(mountedArgs(spec.Args, spec.StagePath)),
		Env: mlJobEnv(spec.Env, options),
		Mounts: []serviceMount{
			{Name: "system-logs", Path: "/var/log/managedservices/system/mlrs"},
			{Name: "user-logs", Path: "/var/log/managedservices/user/mlrs"},
			{Name: "dshm", Path: "/dev/shm"},
			{Name: stageVolume, Path: stageMount},
			{Name: resultVolume, Path: resultMount},
		},
		Resources: size.resources(),
	}
	doc := &serviceDoc{Spec: serviceSpec{
		Containers: []serviceContainer{container},
		Volumes: []serviceVolume{
			{Name: "system-logs", Source: "local"},
			{Name: "user-logs", Source: "local"},
			{Name: "dshm", Source: "memory", Size: scalar(strconv.FormatInt(size.sharedGiB(), 10) + "Gi")},
			{Name: stageVolume, Source: "stage", Stage: &serviceStageConfig{Name: stage}},
			{Name: resultVolume, Source: "stage", Stage: &serviceStageConfig{Name: stage + "/" + jobName}},
		},
		Endpoints: rayEndpoints(),
		Rest:      map[string]any{},
	}}
	if spec.Metrics {
		doc.Spec.Rest["platformMonitor"] = map[string]any{
			"metricConfig": map[string]any{"groups": []any{"system", "status", "network", "storage"}},
		}
	}
	if options.Target > 1 {
		doc.Spec.Rest["resourceManagement"] = map[string]any{
			"controlPolicy": map[string]any{"startupOrder": map[string]any{"type": "FirstInstance"}},
		}
	}
	return doc
}

// mlJobEnv is the container's environment: Firn's defaults, what the client sent, and what the client may not choose.
func mlJobEnv(given map[string]string, options mlJobOptions) map[string]scalar {
	env := map[string]scalar{
		"MLRS_STAGE_MOUNT_PATH":  stageMount,
		"MLRS_PAYLOAD_DIR":       "app",
		"MLRS_RESULT_PATH":       resultMount + "/" + resultFile,
		"MLRS_STAGE_RESULT_PATH": resultMount,
		"ENABLE_HEALTH_CHECKS":   "false",
	}
	if options.Target > 1 {
		for _, p := range rayPorts() {
			env[p.name] = scalar(strconv.Itoa(p.port))
		}
	}
	for k, v := range given {
		env[k] = scalar(v)
	}
	env["MLRS_MIN_INSTANCES"] = scalar(strconv.Itoa(options.Min))
	return env
}

type rayPort struct {
	name string
	port int
}

// rayPorts are the ports that the nodes of one job use among themselves.
func rayPorts() []rayPort {
	return []rayPort{
		{"HEAD_CLIENT_SERVER_PORT", 10001}, {"HEAD_GCS_PORT", 12001}, {"HEAD_DASHBOARD_GRPC_PORT", 12002}, {"HEAD_DASHBOARD_PORT", 12003},
		{"OBJECT_MANAGER_PORT", 12011}, {"NODE_MANAGER_PORT", 12012}, {"RUNTIME_ENV_AGENT_PORT", 12013},
		{"DASHBOARD_AGENT_GRPC_PORT", 12014}, {"DASHBOARD_AGENT_LISTEN_PORT", 12015}, {"MIN_WORKER_PORT", 12031}, {"MAX_WORKER_PORT", 13000},
	}
}

func rayEndpoints() []serviceEndpoint {
	tcp := func(name string, port int) serviceEndpoint {
		return serviceEndpoint{Name: name, Port: port, Protocol: "TCP"}
	}
	ports := func(name, text string) serviceEndpoint {
		return serviceEndpoint{Name: name, PortRange: text, Protocol: "TCP"}
	}
	return []serviceEndpoint{
		tcp("ray-client-server-endpoint", 10001), tcp("ray-gcs-endpoint", 12001), tcp("ray-dashboard-grpc-endpoint", 12002),
		tcp(rayDashboard, 12003), tcp("ray-object-manager-endpoint", 12011), tcp("ray-node-manager-endpoint", 12012),
		tcp("ray-runtime-agent-endpoint", 12013), tcp("ray-dashboard-agent-grpc-endpoint", 12014),
		ports("ephemeral-port-range", "32768-60999"), ports("ray-worker-port-range", "12031-13000"),
	}
}

// mountedArgs writes arguments that name the job's stage directory as the path under which the container sees it; old clients send
// such.
func mountedArgs(args []string, stage string) []string {
	stage = strings.TrimSuffix(stage, "/") + "/"
	out := make([]string, len(args))
	for i, a := range args {
		out[i] = a
		if rest, ok := strings.CutPrefix(a, stage); ok {
			out[i] = stageMount + "/" + rest
		}
	}
	return out
}

func scalars(texts []string) []scalar {
	var out []scalar
	for _, t := range texts {
		out = append(out, scalar(t))
	}
	return out
}

func texts(scalars []scalar) []string {
	out := []string{}
	for _, s := range scalars {
		out = append(out, string(s))
	}
	return out
}

// sharedGiB is the size of /dev/shm: Ray keeps its objects there and wants three tenths of the memory.
func (s instanceSize) sharedGiB() int64 {
	return max(1, int64(math.Ceil(float64(s.memory)*0.3/gib)))
}

// resources are the size as a container asks for it.
func (s instanceSize) resources() serviceResources {
	want := func() map[string]scalar {
		m := map[string]scalar{
			"cpu":    scalar(strconv.FormatInt(int64(math.Round(s.cpu*1000)), 10) + "m"),
			"memory": scalar(memoryText(s.memory)),
		}
		if s.gpus > 0 {
			m["nvidia.com/gpu"] = scalar(strconv.Itoa(s.gpus))
		}
		return m
	}
	return serviceResources{Requests: want(), Limits: want()}
}

// memoryText writes bytes as whole Gi, or Mi below that.
func memoryText(bytes int64) string {
	if bytes%gib == 0 {
		return strconv.FormatInt(bytes/gib, 10) + "Gi"
	}
	return strconv.FormatInt(bytes>>20, 10) + "Mi"
}
