package schema

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/openapi/openapitest"
	"sigs.k8s.io/yaml"
)

// schemas are Kubernetes' own OpenAPI documents, as its client library carries them for
// the groups of pods, deployments and jobs. They say what is required, which its Go types
// do not; those know all groups, and refuse fields that are none.
var schemas = sync.OnceValues(func() (map[string]*jsonschema.Schema, error) {
	compiled := make(map[string]*jsonschema.Schema)
	for path, kinds := range map[string]string{
		"api/v1":        "core.v1 Service Secret ServiceAccount ConfigMap",
		"apis/apps/v1":  "apps.v1 Deployment",
		"apis/batch/v1": "batch.v1 Job",
	} {
		groups, err := openapitest.NewEmbeddedFileClient().Paths()
		if err != nil {
			return nil, err
		}
		text, err := groups[path].Schema("application/json")
		if err != nil {
			return nil, err
		}
		document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			return nil, err
		}
		compiler := jsonschema.NewCompiler()
		at := "mem:///" + path
		if err := compiler.AddResource(at, document); err != nil {
			return nil, err
		}
		words := strings.Fields(kinds)
		for _, kind := range words[1:] {
			schema, err := compiler.Compile(fmt.Sprintf("%s#/components/schemas/io.k8s.api.%s.%s", at, words[0], kind))
			if err != nil {
				return nil, err
			}
			compiled[kind] = schema
		}
	}
	return compiled, nil
})

// againstSchema checks an object of a kind that has a schema here.
func againstSchema(text string) error {
	known, err := schemas()
	if err != nil {
		return err
	}
	json, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		return err
	}
	object, err := jsonschema.UnmarshalJSON(bytes.NewReader(json))
	if err != nil {
		return err
	}
	schema := known[object.(map[string]any)["kind"].(string)]
	if schema == nil {
		return nil
	}
	return schema.Validate(object)
}

// TestKubernetesSchema: what Kubernetes would refuse is refused here, by its types or by
// its schema.
func TestKubernetesSchema(t *testing.T) {
	const good = "apiVersion: v1\nkind: Service\nspec:\n  ports:\n    - port: 80\n"
	if err := againstSchema(good); err != nil {
		t.Error(err)
	}
	for what, bad := range map[string]string{
		"required": strings.Replace(good, "port: 80", "name: clients", 1),
		"type":     strings.Replace(good, "80", "eighty", 1),
	} {
		if err := againstSchema(bad); err == nil {
			t.Errorf("%s is taken:\n%s", what, bad)
		}
	}
	var service *corev1.Service
	if err := one(strings.Replace(good, "port: 80", "port: 80\n      prot: TCP", 1), &service); err == nil {
		t.Error("a field that is none is taken")
	}
}
