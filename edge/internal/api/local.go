package api

import (
	"context"
	"encoding/json"
	"runtime"
	"time"

	"hydrant/bus/scheme"
	"hydrant/edge/internal/stats"
)

// The routes that a node answers by itself.

func (a *API) version(context.Context) (any, error) {
	return map[string]string{"version": a.node.Version}, nil
}

// nodeHealth is the answer of health: as Hydra Router's, and more.
type nodeHealth struct {
	ServiceName string        `json:"serviceName"`
	InstanceID  scheme.NodeID `json:"instanceID"`
	HostName    string        `json:"hostName"`
	scheme.Vitals
	Version     string   `json:"version"`
	HeapBytes   uint64   `json:"heapBytes"`
	Goroutines  int      `json:"goroutines"`
	Connections int64    `json:"connections"`
	Ready       bool     `json:"ready"`
	Reasons     []string `json:"reasons,omitempty"`
}

func (a *API) health(context.Context) (any, error) {
	n := &a.node
	ready, reasons := n.Readiness(false)
	v := scheme.VitalsOf(n.Started, time.Now())
	return nodeHealth{
		ServiceName: n.Config.ServiceName, InstanceID: n.ID, HostName: hostname(), Vitals: v, Version: n.Version,
		HeapBytes: v.Memory.HeapUsed, Goroutines: runtime.NumGoroutine(), Connections: n.Connections(),
		Ready: ready, Reasons: reasons,
	}, nil
}

// nodeStats is the answer of stats: what services got by second, as Hydra Router has
// it, and numbers since the node started.
type nodeStats struct {
	stats.Hours
	InstanceID       scheme.NodeID `json:"instanceID"`
	UptimeSeconds    float64       `json:"uptimeSeconds"`
	Connections      int64         `json:"connections"`
	MessagesReceived float64       `json:"messagesReceived"`
	MessagesSent     float64       `json:"messagesSent"`
	BytesReceived    float64       `json:"bytesReceived"`
	BytesSent        float64       `json:"bytesSent"`
	Errors           float64       `json:"errors"`
}

// statsKept is how long an answer of stats is used again: it is open to everybody, and
// large where there are many services.
const statsKept = time.Second

// keptStats is an answer of stats. Immutable.
type keptStats struct {
	made time.Time
	text json.RawMessage
}

// stats answers also where services cannot be asked, then with those that are known.
func (a *API) stats(ctx context.Context) (any, error) {
	if kept := a.kept.Load(); kept != nil && time.Since(kept.made) < statsKept {
		return kept.text, nil
	}
	n := &a.node
	if n.NATS() != nil && (a.catalog.current() == nil || n.Traffic.Unsettled()) {
		if _, err := a.catalog.ask(ctx); err != nil {
			n.Log.Debug("stats lacks services", "error", err)
		}
	}
	sums, err := n.Metrics.Sums()
	if err != nil {
		return nil, err
	}
	now := time.Now()
	text, err := json.Marshal(nodeStats{
		Hours:      n.Traffic.Hours(now),
		InstanceID: n.ID, UptimeSeconds: time.Since(n.Started).Seconds(), Connections: n.Connections(),
		MessagesReceived: sums["hydrant_messages_received_total"], MessagesSent: sums["hydrant_messages_sent_total"],
		BytesReceived: sums["hydrant_received_bytes_total"], BytesSent: sums["hydrant_sent_bytes_total"],
		Errors: sums["hydrant_client_errors_total"],
	})
	if err == nil {
		a.kept.Store(&keptStats{now, text})
	}
	return json.RawMessage(text), err
}

func (a *API) log(context.Context) (any, error) { return a.node.ClientLog.List(), nil }

// refresh forgets what services had registered that are not there, and asks all anew.
// Whoever asks for a path next waits for that, and not who refreshes.
func (a *API) refresh(context.Context) (any, error) {
	a.catalog.forget()
	return struct{}{}, nil
}

func (a *API) clear(context.Context) (any, error) {
	a.node.ClientLog.Clear()
	return struct{}{}, nil
}
