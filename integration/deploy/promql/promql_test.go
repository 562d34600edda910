package promql

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
)

const deploy = "../../../deploy/"

// grafana is what Grafana fills in.
var grafana = strings.NewReplacer("$__rate_interval", "5m", "$instance", ".*")

func TestRules(t *testing.T) {
	groups, errs := rulefmt.ParseFile(deploy+"prometheus/alerts.yml", false, model.UTF8Validation, parser.NewParser(parser.Options{}), nil)
	for _, err := range errs {
		t.Error(err)
	}
	rules := 0
	if groups != nil {
		for _, group := range groups.Groups {
			rules += len(group.Rules)
		}
	}
	if rules < 10 {
		t.Errorf("only %d rules", rules)
	}
}

func TestDashboard(t *testing.T) {
	text, err := os.ReadFile(deploy + "grafana/dashboards/hydrant.json")
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	count := 0
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			count++
			expr, err := parser.NewParser(parser.Options{}).ParseExpr(grafana.Replace(target.Expr))
			if err != nil {
				t.Errorf("%s: %s: %v", panel.Title, target.Expr, err)
				continue
			}
			if expr.Type() != parser.ValueTypeVector {
				t.Errorf("%s: %s is a %s", panel.Title, target.Expr, expr.Type())
			}
		}
	}
	if count < 40 {
		t.Errorf("only %d expressions", count)
	}
}
