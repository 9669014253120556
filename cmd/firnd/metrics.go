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
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/version"
)

// metrics is what /metrics tells, in a registry of its own.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.HistogramVec
}

func newMetrics(store catalog.Store, log *slog.Logger) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "firn_http_request_duration_seconds",
			Help: "Requests by door, method and class of the status, with their duration.",
			// From a lookup to the push of a large layer.
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300},
		}, []string{"door", "method", "status"}),
	}
	build := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "firn_build_info", Help: "1, with the version of this program.",
		ConstLabels: prometheus.Labels{"version": version.Version, "goversion": runtime.Version()},
	}, func() float64 { return 1 })
	m.registry.MustRegister(m.requests, build, newJobCounter(store, log),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
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
		defer func() {
			m.requests.WithLabelValues(door, methodLabel(r.Method), seen.class()).Observe(time.Since(begun).Seconds())
		}()
		next.ServeHTTP(seen, r)
	})
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
}

// WriteHeader implements http.ResponseWriter.
func (o *observed) WriteHeader(status int) {
	if o.status == 0 && status >= 200 {
		o.status = status
	}
	o.ResponseWriter.WriteHeader(status)
}

// ReadFrom implements io.ReaderFrom.
func (o *observed) ReadFrom(r io.Reader) (int64, error) {
	if below, ok := o.ResponseWriter.(io.ReaderFrom); ok {
		return below.ReadFrom(r)
	}
	return io.Copy(struct{ io.Writer }{o.ResponseWriter}, r)
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
