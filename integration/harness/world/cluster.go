package world

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"hydrant/integration/harness"
)

// Leader finds the server that leads the stream of a session's mailbox.
func (w *World) Leader(t *testing.T, sid string) *harness.NATSServer {
	t.Helper()
	var server *harness.NATSServer
	if err := harness.Until(Patient(t), func() error {
		name, err := w.leaderName(t, sid)
		if err != nil {
			return err
		}
		for _, s := range w.NATS.Servers {
			if s.ServerName == name {
				server = s
				return nil
			}
		}
		return fmt.Errorf("%s, which leads, is no server of this world", name)
	}); err != nil {
		t.Fatal(err)
	}
	return server
}

func (w *World) leaderName(t *testing.T, sid string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	stream, err := w.JS.Stream(ctx, w.StreamOf(t, sid))
	if err != nil {
		return "", err
	}
	info, err := stream.Info(ctx)
	if err != nil {
		return "", err
	}
	if info.Cluster == nil || info.Cluster.Leader == "" {
		return "", errors.New("no server leads the stream")
	}
	return info.Cluster.Leader, nil
}

// StreamOf names the stream of a session's mailbox. It is found once, while the
// cluster is whole.
func (w *World) StreamOf(t *testing.T, sid string) string {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.streams == nil {
		w.streams = make(map[string]string)
	}
	if w.streams[sid] == "" {
		name, err := w.JS.StreamNameBySubject(Patient(t), Mailbox(sid))
		if err != nil {
			t.Fatal(err)
		}
		w.streams[sid] = name
	}
	return w.streams[sid]
}

// StepDown asks the leader of a mailbox's stream to give up.
func (w *World) StepDown(t *testing.T, sid string) {
	t.Helper()
	if err := harness.Until(Patient(t), func() error {
		answer, err := w.Conn.Request("$JS.API.STREAM.LEADER.STEPDOWN."+w.StreamOf(t, sid), nil, 2*time.Second)
		if err != nil {
			return err
		}
		var result struct {
			Success bool `json:"success"`
		}
		if err := json.Unmarshal(answer.Data, &result); err != nil {
			return err
		}
		if !result.Success && !strings.Contains(string(answer.Data), "no leader") {
			return fmt.Errorf("the leader does not step down: %s", answer.Data)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}
