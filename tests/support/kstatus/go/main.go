// Command kstatus says what GitOps tools make of Kubernetes objects: Flux's kstatus library, which
// Helm and Flux wait with, and Flux's health check expressions.
//
// Standard input holds JSON objects, one after the other; standard output one JSON line for each.
// The argument, if there is one, is a Flux Kustomization (YAML) with healthCheckExprs.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"github.com/fluxcd/pkg/apis/kustomize"
	"github.com/fluxcd/pkg/runtime/cel"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

type verdict struct {
	Name    string `json:"name"`
	Kstatus string `json:"kstatus"`
	Message string `json:"message"`
	// What the first health check expression that is true says.
	Expression string `json:"expression,omitempty"`
}

type kustomization struct {
	Spec struct {
		HealthCheckExprs []kustomize.CustomHealthCheck `json:"healthCheckExprs"`
	} `json:"spec"`
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "kstatus:", err)
		os.Exit(1)
	}
}

func run() error {
	evaluator, err := evaluator()
	if err != nil {
		return err
	}
	in, out := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	for {
		var text json.RawMessage
		if err := in.Decode(&text); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		// Its own decoder, which keeps whole numbers whole.
		object := &unstructured.Unstructured{}
		if err := object.UnmarshalJSON(text); err != nil {
			return err
		}
		result, err := status.Compute(object)
		if err != nil {
			return err
		}
		line := verdict{Name: object.GetName(), Kstatus: string(result.Status), Message: result.Message}
		if evaluator != nil {
			said, err := evaluator.Evaluate(context.Background(), object)
			if err != nil {
				return err
			}
			line.Expression = string(said.Status)
		}
		if err := out.Encode(line); err != nil {
			return err
		}
	}
}

func evaluator() (*cel.StatusEvaluator, error) {
	if len(os.Args) < 2 {
		return nil, nil
	}
	text, err := os.ReadFile(os.Args[1])
	if err != nil {
		return nil, err
	}
	var k kustomization
	if err := yaml.Unmarshal(text, &k); err != nil {
		return nil, err
	}
	if len(k.Spec.HealthCheckExprs) != 1 {
		return nil, fmt.Errorf("%s: want one healthCheckExprs entry, found %d", os.Args[1], len(k.Spec.HealthCheckExprs))
	}
	return cel.NewStatusEvaluator(&k.Spec.HealthCheckExprs[0].HealthCheckExpressions)
}
