package schema

import (
	"os"
	"strings"
	"testing"

	bootstrap "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	// The types that envoy.yaml names by URL.
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/stream/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	manager "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/formatter/req_without_query/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"sigs.k8s.io/yaml"
)

// TestEnvoy: envoy.yaml is a bootstrap configuration, and so is what it holds
// in messages of other types. It logs no more than paths, and neither does Traefik.
func TestEnvoy(t *testing.T) {
	text, err := os.ReadFile("../../../deploy/envoy/envoy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	json, err := yaml.YAMLToJSONStrict(text)
	if err != nil {
		t.Fatal(err)
	}
	var config bootstrap.Bootstrap
	if err := protojson.Unmarshal(json, &config); err != nil {
		t.Fatal(err)
	}
	if err := config.ValidateAll(); err != nil {
		t.Error(err)
	}
	// Traefik's own types are not read, but what it logs is chosen by two lines of text.
	for file, want := range map[string][2]string{
		"envoy/envoy.yaml":    {"%REQ_WITHOUT_QUERY(:PATH)%", "%REQ(:PATH"},
		"traefik/traefik.yml": {"names: {RequestPath: drop, RequestLine: drop}", "keep"},
	} {
		text, err := os.ReadFile("../../../deploy/" + file)
		if err != nil {
			t.Fatal(err)
		}
		if all := strings.ToUpper(string(text)); !strings.Contains(all, strings.ToUpper(want[0])) || strings.Contains(all, strings.ToUpper(want[1])) || strings.Contains(all, "ORIGINAL-PATH") {
			t.Errorf("%s logs what stands behind a path", file)
		}
	}
	filters := config.GetStaticResources().GetListeners()[0].GetFilterChains()[0].GetFilters()
	var http manager.HttpConnectionManager
	if err := filters[0].GetTypedConfig().UnmarshalTo(&http); err != nil {
		t.Fatal(err)
	}
	if err := http.ValidateAll(); err != nil {
		t.Error(err)
	}
	if cluster := http.GetRouteConfig().GetVirtualHosts()[0].GetRoutes()[0].GetRoute().GetCluster(); cluster != config.GetStaticResources().GetClusters()[0].GetName() {
		t.Errorf("the route leads to %q", cluster)
	}
}
