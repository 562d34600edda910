// Package schema reads files of deploy/ with the code of the programs that
// they are for, strictly, so that a misspelled field fails: the chart with
// Helm's renderer and Kubernetes' types, docker-compose.yml with the loader of
// Compose v2, envoy.yaml with Envoy's own messages and their rules. It is a
// module of its own, so that the product depends on none of them.
package schema
