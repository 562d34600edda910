package stats

import (
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
)

// NewBuild returns a metric that is always 1, and says by its labels which build this is.
func NewBuild(version string) prometheus.Collector {
	g := prometheus.NewGauge(prometheus.GaugeOpts{
		Namespace: namespace, Name: "build_info", Help: "1; the labels say which version of Hydrant runs, and of Go.",
		ConstLabels: prometheus.Labels{"version": version, "goversion": runtime.Version()},
	})
	g.Set(1)
	return g
}
