package edge

import (
	"context"
	"log/slog"
	"net/http"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"hydrant/bus"
	"hydrant/integration/harness"
)

// slowMetric is one that a scrape waits for.
type slowMetric struct {
	prometheus.Collector
	asked chan struct{} // closed by the only scrape
	given chan struct{} // closed by the test
}

// Collect implements [prometheus.Collector].
func (m *slowMetric) Collect(metrics chan<- prometheus.Metric) {
	close(m.asked)
	<-m.given
	m.Collector.Collect(metrics)
}

// TestAnswersBeforeTheEnd: an administrator whose request is under way when the node stops
// gets the answer; here of a node that still waits for NATS, which stops at once.
func TestAnswersBeforeTheEnd(t *testing.T) {
	t.Parallel()
	nowhere, err := harness.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	admin, err := harness.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := DefaultConfig()
	if err != nil {
		t.Fatal(err)
	}
	cfg.AdminListen = admin
	slow := &slowMetric{prometheus.NewGauge(prometheus.GaugeOpts{Name: "slow"}), make(chan struct{}), make(chan struct{})}
	n, err := New(cfg, bus.Config{URL: "nats://" + nowhere}, Options{Logger: slog.New(slog.DiscardHandler), Collectors: []prometheus.Collector{slow}})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- n.Run(context.Background()) }()
	ctx, cancel := context.WithTimeout(t.Context(), harness.Patience)
	defer cancel()
	if err := harness.Until(ctx, func() error {
		_, err := harness.Get("http://" + admin + "/healthz")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	n.admin.RegisterOnShutdown(func() { close(slow.given) })
	scraped := make(chan error, 1)
	go func() {
		_, err := harness.Get("http://" + admin + "/metrics")
		scraped <- err
	}()
	<-slow.asked
	n.Drain("test")
	if err := <-scraped; err != nil {
		t.Error("a scrape that the node had begun:", err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if _, err := http.Get("http://" + admin + "/healthz"); err == nil {
		t.Error("the listener is there after the end")
	}
}
