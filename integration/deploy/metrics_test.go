package deploy

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

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

// checkExpressions finds fault with metrics and labels that no node has.
func checkExpressions(t *testing.T, page *sample, expressions []string) {
	t.Helper()
	for _, e := range expressions {
		metrics := metricsIn(e)
		if len(metrics) == 0 && !strings.HasPrefix(e, "up{") {
			t.Errorf("no metric in %s", e)
		}
		for _, m := range metrics {
			labels, ok := page.labels[m]
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
		}
	}
}

// TestRunbooks: each alert has a heading of its name in the operations guide,
// and points there.
func TestRunbooks(t *testing.T) {
	guide := read(t, deployed(t, "README.md"))
	rules := read(t, deployed(t, "prometheus/alerts.yml"))
	alerts := regexp.MustCompile(`(?m)^\s+- alert: (\w+)$`).FindAllStringSubmatch(rules, -1)
	if len(alerts) != len(alertExpressions(t)) {
		t.Fatalf("%d alerts with %d expressions", len(alerts), len(alertExpressions(t)))
	}
	for _, alert := range alerts {
		name := alert[1]
		if !strings.Contains(guide, "\n### "+name+"\n") {
			t.Errorf("deploy/README.md has no heading %s", name)
		}
		if !strings.Contains(rules, "runbook: deploy/README.md#"+strings.ToLower(name)+"\n") {
			t.Errorf("%s does not point to its part of the guide", name)
		}
	}
	for _, heading := range regexp.MustCompile(`(?m)^### (Hydrant\w+)$`).FindAllStringSubmatch(guide, -1) {
		if !strings.Contains(rules, "- alert: "+heading[1]+"\n") {
			t.Errorf("the guide has %s, which is no alert", heading[1])
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
