// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/registry/upstream"
	"firn.dev/firn/internal/version"
)

// metrics is what /metrics tells, in a registry of its own.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.HistogramVec
	images   *prometheus.HistogramVec // requests of the registry once more, by what they are about
	uploads  prometheus.Gauge
	received *prometheus.CounterVec
	sent     *prometheus.CounterVec
}

// durations are those from a lookup to the push of a large layer, in seconds.
func durations() []float64 {
	return []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300}
}

func newMetrics(store catalog.Store, log *slog.Logger) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "firn_http_request_duration_seconds",
			Help: "Requests by door, method and class of the status, with their duration.", Buckets: durations(),
		}, []string{"door", "method", "status"}),
		images: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "firn_registry_request_duration_seconds", Buckets: durations(),
			Help: "Requests of the registry by resource (manifest, blob, upload, tags, referrers, token, other), method and class of the status, with their duration.",
		}, []string{"resource", "method", "status"}),
		uploads: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "firn_registry_uploads_in_flight", Help: "Requests that send content of image layers at the moment.",
		}),
		received: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "firn_http_received_bytes_total", Help: "Bytes of request bodies that were read, by door.",
		}, []string{"door"}),
		sent: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "firn_http_sent_bytes_total", Help: "Bytes of answers, by door.",
		}, []string{"door"}),
	}
	build := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "firn_build_info", Help: "1, with the version of this program.",
		ConstLabels: prometheus.Labels{"version": version.Version, "goversion": runtime.Version()},
	}, func() float64 { return 1 })
	m.registry.MustRegister(m.requests, m.images, m.uploads, m.received, m.sent, build, newJobCounter(store, log),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// newUpstreamMetrics gives what tells /metrics of each request to an upstream registry.
func newUpstreamMetrics(to prometheus.Registerer) func(upstream.Fetch) {
	fetches := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "firn_registry_upstream_fetches_total", Help: "Requests to upstream registries by host, by what was asked for (tag, manifest, blob) and by outcome.",
	}, []string{"upstream", "what", "outcome"})
	bytes := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "firn_registry_upstream_received_bytes_total", Help: "Bytes of manifests and blobs that came from upstream registries, by host.",
	}, []string{"upstream"})
	to.MustRegister(fetches, bytes)
	return func(f upstream.Fetch) {
		outcome := "failure"
		if f.OK {
			outcome = "success"
		}
		fetches.WithLabelValues(f.Host, f.What, outcome).Inc()
		bytes.WithLabelValues(f.Host).Add(float64(f.Bytes))
	}
}

// page serves /metrics.
func (m *metrics) page() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// observe counts what a door answers.
func (m *metrics) observe(door string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begun := time.Now()
		seen := &observed{ResponseWriter: w}
		body := &counted{ReadCloser: r.Body}
		r.Body = body
		resource := ""
		if door == registryDoor {
			resource = resourceLabel(r.URL.Path)
		}
		uploads := resource == "upload" && r.ContentLength != 0
		if uploads {
			m.uploads.Inc()
		}
		defer func() {
			took := time.Since(begun).Seconds()
			m.requests.WithLabelValues(door, methodLabel(r.Method), seen.class()).Observe(took)
			m.received.WithLabelValues(door).Add(float64(body.bytes))
			m.sent.WithLabelValues(door).Add(float64(seen.bytes))
			if resource != "" {
				m.images.WithLabelValues(resource, methodLabel(r.Method), seen.class()).Observe(took)
			}
			if uploads {
				m.uploads.Dec()
			}
		}()
		next.ServeHTTP(seen, r)
	})
}

// registryDoor is the door of images.
const registryDoor = "registry"

// resourceLabel tells what a request to the registry is about.
func resourceLabel(path string) string {
	switch {
	case path == "/token" || path == "/login":
		return "token"
	case strings.Contains(path, "/blobs/uploads/") || strings.HasSuffix(path, "/blobs/uploads"):
		return "upload"
	}
	for resource, part := range map[string]string{"blob": "/blobs/", "manifest": "/manifests/", "referrers": "/referrers/", "tags": "/tags/"} {
		if before, after, ok := strings.Cut(path, part); ok && before != "" && !strings.Contains(after, "/") {
			return resource
		}
	}
	return "other"
}

// counted is a body that counts what is read of it.
type counted struct {
	io.ReadCloser
	bytes int64
}

// Read implements io.Reader.
func (c *counted) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.bytes += int64(n)
	return n, err
}

// methodLabel keeps clients from making labels.
func methodLabel(method string) string {
	if slices.Contains([]string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}, method) {
		return method
	}
	return "other"
}

// observed remembers the status of an answer. It passes on everything that a ResponseWriter can besides: files go to the socket
// by sendfile, and http.ResponseController finds the writer below.
type observed struct {
	http.ResponseWriter
	status int
	bytes  int64
}

// Write implements io.Writer.
func (o *observed) Write(p []byte) (int, error) {
	n, err := o.ResponseWriter.Write(p)
	o.bytes += int64(n)
	return n, err
}

// WriteHeader implements http.ResponseWriter.
func (o *observed) WriteHeader(status int) {
	if o.status == 0 && status >= 200 {
		o.status = status
	}
	o.ResponseWriter.WriteHeader(status)
}

// ReadFrom implements io.ReaderFrom.
func (o *observed) ReadFrom(r io.Reader) (n int64, err error) {
	if below, ok := o.ResponseWriter.(io.ReaderFrom); ok {
		n, err = below.ReadFrom(r)
	} else {
		n, err = io.Copy(struct{ io.Writer }{o.ResponseWriter}, r)
	}
	o.bytes += n
	return n, err
}

// Unwrap gives the writer below to http.ResponseController.
func (o *observed) Unwrap() http.ResponseWriter { return o.ResponseWriter }

// class is the first digit of the status and "xx". Who never set one answered 200.
func (o *observed) class() string {
	if o.status == 0 {
		return "2xx"
	}
	return strconv.Itoa(o.status/100) + "xx"
}

// jobCounter counts the jobs that have not ended when it is asked.
type jobCounter struct {
	store catalog.Store
	log   *slog.Logger
	jobs  *prometheus.Desc
}

func newJobCounter(store catalog.Store, log *slog.Logger) *jobCounter {
	return &jobCounter{store, log, prometheus.NewDesc("firn_jobs", "Jobs that have not ended, by state.", []string{"state"}, nil)}
}

// Describe implements prometheus.Collector.
func (j *jobCounter) Describe(out chan<- *prometheus.Desc) { out <- j.jobs }

// Collect implements prometheus.Collector.
func (j *jobCounter) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	states := []catalog.JobState{catalog.JobPending, catalog.JobRunning, catalog.JobCancelling}
	count := map[catalog.JobState]int{}
	err := j.store.View(ctx, func(tx catalog.Tx) error {
		for job, err := range tx.FindJobs(catalog.JobFilter{States: states}) {
			if err != nil {
				return err
			}
			count[job.State]++
		}
		return nil
	})
	if err != nil {
		j.log.Warn("metrics: jobs are not counted", "err", err)
		return
	}
	for _, state := range states {
		out <- prometheus.MustNewConstMetric(j.jobs, prometheus.GaugeValue, float64(count[state]), string(state))
	}
}
