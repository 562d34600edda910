package main

import (
	"bufio"
	"encoding/json"
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"hydrant/edge/internal/config"
)

// TestLogIsNotRead: whoever logs does not wait for who reads the log. Lines that
// find no room are counted, and their number stands in their place.
func TestLogIsNotRead(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	log, lines := newLogger(&config.Config{LogFormat: config.LogJSON}, slog.LevelInfo, w)
	registry := prometheus.NewRegistry()
	registry.MustRegister(lines.lost)
	lost := func() int {
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		return int(families[0].GetMetric()[0].GetCounter().GetValue())
	}
	logged, padding := 0, strings.Repeat("x", 1000)
	for ; lost() < 3; logged++ {
		log.Info(padding, "n", logged)
	}
	read := bufio.NewScanner(r)
	next := func() (line struct{ N, Lines int }) {
		t.Helper()
		if !read.Scan() {
			t.Fatalf("the log ends: %v", read.Err())
		}
		if err := json.Unmarshal(read.Bytes(), &line); err != nil {
			t.Fatalf("%.100s: %v", read.Text(), err)
		}
		return line
	}
	for n := range logged - 3 {
		if line := next(); line.N != n {
			t.Fatalf("line %d comes where %d is next", line.N, n)
		}
	}
	if line := next(); line.Lines != 3 {
		t.Errorf("3 lines are missing, and the log says %d", line.Lines)
	}
	log.Info("the last one", "n", logged)
	if line := next(); line.N != logged {
		t.Errorf("line %d comes last", line.N)
	}
	lines.close()
	<-lines.done
}
