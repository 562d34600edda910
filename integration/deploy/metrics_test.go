package deploy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"hydrant/bus"
	"hydrant/integration/harness"
)

// expressions are those of a file of alert rules and of a dashboard. Both are
// read as text: the rules' expressions stand on one line each.
var ruleExpression = regexp.MustCompile(`(?m)^\s+expr: (.+)$`)

func alertExpressions(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, match := range ruleExpression.FindAllStringSubmatch(read(t, deployed(t, "prometheus/alerts.yml")), -1) {
		all = append(all, match[1])
	}
	if len(all) < 10 {
		t.Fatalf("only %d alert rules were found", len(all))
	}
	return all
}

func dashboardExpressions(t *testing.T) []string {
	t.Helper()
	var dashboard struct {
		Panels []struct {
			Title   string
			Type    string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal([]byte(read(t, deployed(t, "grafana/dashboards/hydrant.json"))), &dashboard); err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, panel := range dashboard.Panels {
		if panel.Type != "row" && len(panel.Targets) == 0 {
			t.Errorf("panel %q shows nothing", panel.Title)
		}
		for _, target := range panel.Targets {
			all = append(all, target.Expr)
		}
	}
	if len(all) < 20 {
		t.Fatalf("only %d expressions in the dashboard", len(all))
	}
	return all
}

var (
	quoted = regexp.MustCompile(`"[^"]*"`)
	ranges = regexp.MustCompile(`\[[^\]]*\]`)
	// grouping is what names labels, not metrics.
	grouping = regexp.MustCompile(`\bby \([^)]*\)|\{[^}]*\}`)
	name     = regexp.MustCompile(`[a-zA-Z_:][a-zA-Z0-9_:]*`)
	matcher  = regexp.MustCompile(`([a-zA-Z_]+)(=|!=|=~|!~)"`)
	groups   = regexp.MustCompile(`\bby \(([^)]*)\)`)
	words    = []string{"sum", "rate", "increase", "histogram_quantile", "and", "or", "up"}
)

// metricsIn returns the metrics that an expression names. What is neither a
// word of the language nor a metric is returned, too, and so fails.
func metricsIn(expression string) []string {
	text := quoted.ReplaceAllString(expression, "")
	text = grouping.ReplaceAllString(ranges.ReplaceAllString(text, ""), "")
	var found []string
	for _, n := range name.FindAllString(text, -1) {
		if !slices.Contains(words, n) {
			found = append(found, n)
		}
	}
	return found
}

// sample is a node's page of metrics: the value of every series by its full
// name, and the labels of each metric.
type sample struct {
	series map[string]float64
	labels map[string]map[string]bool
}

func scrape(node *harness.Node) (*sample, error) {
	page, err := harness.Get(node.AdminHTTP("/metrics"))
	if err != nil {
		return nil, err
	}
	s := &sample{series: make(map[string]float64), labels: make(map[string]map[string]bool)}
	for line := range strings.Lines(string(page)) {
		line = strings.TrimSpace(line)
		at := strings.LastIndexByte(line, ' ')
		if strings.HasPrefix(line, "#") || at < 0 {
			continue
		}
		value, err := strconv.ParseFloat(line[at+1:], 64)
		if err != nil {
			return nil, fmt.Errorf("metric %q: %w", line, err)
		}
		s.series[line[:at]] = value
		metric, labels, _ := strings.Cut(line[:at], "{")
		if s.labels[metric] == nil {
			s.labels[metric] = map[string]bool{"instance": true, "job": true}
		}
		for _, m := range matcher.FindAllStringSubmatch(labels, -1) {
			s.labels[metric][m[1]] = true
		}
	}
	return s, nil
}

// TestExpressionsNameWhatExists: every metric, and every label, in the alert
// rules and the dashboard is one that a real node has once it has been used;
// and every metric of the dashboard moves.
func TestExpressionsNameWhatExists(t *testing.T) {
	ctx := t.Context()
	moved := useEverything(ctx, t)
	check := func(expressions []string, moves bool) {
		for _, e := range expressions {
			metrics := metricsIn(e)
			if len(metrics) == 0 && !strings.HasPrefix(e, "up{") {
				t.Errorf("no metric in %s", e)
			}
			for _, m := range metrics {
				labels, ok := moved.last.labels[m]
				if !ok {
					t.Errorf("no metric %s, in %s", m, e)
					continue
				}
				labels["le"] = labels["le"] || strings.HasSuffix(m, "_bucket")
				for _, use := range groups.FindAllStringSubmatch(e, -1) {
					for label := range strings.SplitSeq(use[1], ",") {
						if label = strings.TrimSpace(label); !labels[label] {
							t.Errorf("%s has no label %s, in %s", m, label, e)
						}
					}
				}
				if moves && !moved.names[m] {
					t.Errorf("%s does not move, in %s", m, e)
				}
			}
		}
	}
	check(alertExpressions(t), false)
	check(dashboardExpressions(t), true)
}

// movement is which metrics changed between the samples of a run.
type movement struct {
	last  *sample
	names map[string]bool
}

func (m *movement) take(t *testing.T, node *harness.Node) {
	t.Helper()
	now, err := scrape(node)
	if err != nil {
		t.Fatal(err)
	}
	if m.last != nil {
		for series, value := range now.series {
			if before, ok := m.last.series[series]; !ok && value != 0 || ok && before != value {
				metric, _, _ := strings.Cut(series, "{")
				m.names[metric] = true
			}
		}
	}
	m.last = now
}

// useEverything gives a node reason to count everything that the dashboard
// shows.
func useEverything(ctx context.Context, t *testing.T) *movement {
	t.Helper()
	servers, err := harness.StartNATS(ctx, harness.NATSOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := servers.Stop(); err != nil {
			t.Error(err)
		}
	})
	start := func() *harness.Node {
		node, err := harness.StartNode(ctx, harness.NodeOptions{Name: "edge", NATS: servers.URL(), Env: map[string]string{"EDGE_QUEUE_LIMIT": "20"}})
		if err != nil {
			t.Fatal(err)
		}
		return node
	}
	node, other := start(), start()
	echo, err := harness.StartEcho(servers.URL(), "echo")
	if err != nil {
		t.Fatal(err)
	}
	m := &movement{names: make(map[string]bool)}
	m.take(t, node)
	exercise(ctx, t, node, other)
	exercise(ctx, t, other, node)
	m.take(t, node)
	junk(ctx, t, servers, node)
	linger(ctx, t, servers, node, m)
	m.take(t, node)

	// A frozen process stalls; a server that is gone is noticed.
	freeze(ctx, t, node, m)
	servers.Servers[0].Kill()
	await(ctx, t, node, m, "hydrant_nats_connected")
	m.take(t, node)
	if err := servers.Servers[0].Start(); err != nil {
		t.Fatal(err)
	}
	if err := servers.WaitReady(ctx); err != nil {
		t.Fatal(err)
	}
	if err := node.WaitReady(ctx); err != nil {
		t.Fatal(err)
	}
	m.take(t, node)
	for _, p := range []*harness.Process{node.Process, other.Process, echo} {
		p.Kill()
	}
	return m
}

// await returns when a metric has changed since the last sample.
func await(ctx context.Context, t *testing.T, node *harness.Node, m *movement, metric string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, harness.Patience)
	defer cancel()
	before := m.last
	err := harness.Until(ctx, func() error {
		now, err := scrape(node)
		if err != nil {
			return err
		}
		for series, value := range now.series {
			if metricName, _, _ := strings.Cut(series, "{"); metricName == metric && before.series[series] != value {
				return nil
			}
		}
		return errors.New(metric + " does not change")
	})
	if err != nil {
		t.Fatal(err)
	}
}

// freeze stops the node for longer than its stall limit, which no condition
// can tell from outside, so the time itself is what is waited for.
func freeze(ctx context.Context, t *testing.T, node *harness.Node, m *movement) {
	t.Helper()
	if err := node.Freeze(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-time.After(3 * time.Second):
	case <-ctx.Done():
	}
	if err := node.Thaw(); err != nil {
		t.Fatal(err)
	}
	await(ctx, t, node, m, "hydrant_stalls_total")
	m.take(t, node)
}

// junk puts what is no UMF into a session's mailbox, and waits for what comes
// behind it.
func junk(ctx context.Context, t *testing.T, servers *harness.NATS, node *harness.Node) {
	t.Helper()
	c, err := harness.Dial(ctx, node.URL("/"), harness.DialOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	store(ctx, t, servers, c.ID, "no UMF", umfText(c.ID, "behind"))
	if _, err := c.Find(ctx, func(m harness.Message) bool { return m.Mid() == "behind" }); err != nil {
		t.Fatal(err)
	}
}

// linger has a client with a delivered message stay, and ask in vain for another
// session. Meanwhile there are sessions, and somebody at the administrators'
// listener, to be counted.
func linger(ctx context.Context, t *testing.T, servers *harness.NATS, node *harness.Node, m *movement) {
	t.Helper()
	c, err := harness.Dial(ctx, node.URL("/"), harness.DialOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Resume(ctx, "reconnect", harness.Object{"id": strings.Repeat("a", 26)}); err != nil {
		t.Fatal(err)
	}
	store(ctx, t, servers, c.ID, umfText(c.ID, "one"))
	idle, err := net.Dial("tcp", node.Admin)
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	await(ctx, t, node, m, "hydrant_checkpoint_age_seconds_count")
	await(ctx, t, node, m, "go_goroutines")
	await(ctx, t, node, m, "process_open_fds")
	m.take(t, node)
}

func umfText(sid, mid string) string {
	return fmt.Sprintf(`{"to":"%s@client:/","frm":"test:/","mid":"%s","bdy":"x"}`, sid, mid)
}

// store publishes to a mailbox, acknowledged.
func store(ctx context.Context, t *testing.T, servers *harness.NATS, sid string, payloads ...string) {
	t.Helper()
	nc, err := servers.Connect("test")
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	subject, err := bus.MailboxSubject(sid)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(ctx, harness.Patience)
	defer cancel()
	for _, payload := range payloads {
		if _, err := nc.RequestMsgWithContext(ctx, &nats.Msg{Subject: subject, Data: []byte(payload)}); err != nil {
			t.Fatal(err)
		}
	}
}

// TestMetricsIn keeps the reader of expressions honest.
func TestMetricsIn(t *testing.T) {
	for expression, want := range map[string][]string{
		`rate(a_total{why="b_total"}[5m]) > 0 and sum by (c) (d)`:        {"a_total", "d"},
		`histogram_quantile(0.99, sum by (le) (rate(x_bucket[5m]))) > 1`: {"x_bucket"},
		`up{job="hydrant"} == 0`: nil,
	} {
		if got := metricsIn(expression); !maps.Equal(set(got), set(want)) {
			t.Errorf("%s: %v, want %v", expression, got, want)
		}
	}
}

func set(list []string) map[string]bool {
	m := make(map[string]bool)
	for _, s := range list {
		m[s] = true
	}
	return m
}
