package api

import (
	"os"
	"runtime"
	"time"

	"hydrant/bus/scheme"
)

// The routes that a node answers by itself.

func (a *API) version() (any, error) {
	return map[string]string{"version": a.node.Version}, nil
}

// nodeHealth is the answer of health.
type nodeHealth struct {
	ServiceName   string        `json:"serviceName"`
	InstanceID    scheme.NodeID `json:"instanceID"`
	HostName      string        `json:"hostName"`
	Version       string        `json:"version"`
	SampledOn     string        `json:"sampledOn"`
	ProcessID     int           `json:"processID"`
	Architecture  string        `json:"architecture"`
	Platform      string        `json:"platform"`
	UptimeSeconds float64       `json:"uptimeSeconds"`
	HeapBytes     uint64        `json:"heapBytes"`
	Goroutines    int           `json:"goroutines"`
	Connections   int64         `json:"connections"`
	Ready         bool          `json:"ready"`
	Reasons       []string      `json:"reasons,omitempty"`
}

func (a *API) health() (any, error) {
	n := &a.node
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	ready, reasons := n.Readiness(false)
	host, _ := os.Hostname() // empty when the system does not say
	return nodeHealth{
		ServiceName: n.Config.ServiceName, InstanceID: n.ID, HostName: host, Version: n.Version,
		SampledOn: time.Now().UTC().Format(time.RFC3339), ProcessID: os.Getpid(),
		Architecture: runtime.GOARCH, Platform: runtime.GOOS, UptimeSeconds: time.Since(n.Started).Seconds(),
		HeapBytes: mem.HeapAlloc, Goroutines: runtime.NumGoroutine(), Connections: n.Connections(),
		Ready: ready, Reasons: reasons,
	}, nil
}

// nodeStats is the answer of stats: numbers since the node started.
type nodeStats struct {
	InstanceID       scheme.NodeID `json:"instanceID"`
	UptimeSeconds    float64       `json:"uptimeSeconds"`
	Connections      int64         `json:"connections"`
	MessagesReceived float64       `json:"messagesReceived"`
	MessagesSent     float64       `json:"messagesSent"`
	BytesReceived    float64       `json:"bytesReceived"`
	BytesSent        float64       `json:"bytesSent"`
	Errors           float64       `json:"errors"`
}

func (a *API) stats() (any, error) {
	n := &a.node
	sums, err := n.Metrics.Sums()
	if err != nil {
		return nil, err
	}
	return nodeStats{
		InstanceID: n.ID, UptimeSeconds: time.Since(n.Started).Seconds(), Connections: n.Connections(),
		MessagesReceived: sums["hydrant_messages_received_total"], MessagesSent: sums["hydrant_messages_sent_total"],
		BytesReceived: sums["hydrant_received_bytes_total"], BytesSent: sums["hydrant_sent_bytes_total"],
		Errors: sums["hydrant_client_errors_total"],
	}, nil
}

func (a *API) log() (any, error) { return a.node.ClientLog.List(), nil }

// refresh has nothing to do: list/routes asks the services each time.
func (a *API) refresh() (any, error) { return map[string]any{}, nil }

func (a *API) clear() (any, error) {
	a.node.ClientLog.Clear()
	return map[string]any{}, nil
}
