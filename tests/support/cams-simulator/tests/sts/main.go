// Command sts signs in by Alibaba Cloud's own clients: one JSON order per line on standard input, one
// JSON result per line on standard output.
//
// It judges the simulator: its STS and its metadata service must give keys to credentials-go, which
// speaks https only, and to the provider of ack-ram-tool, and their errors must hold its codes.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	ack "github.com/AliyunContainerService/ack-ram-tool/pkg/credentials/provider"
	"github.com/alibabacloud-go/tea/tea"
	"github.com/aliyun/credentials-go/credentials"
)

type order struct {
	// Who asks for what: "credentials oidc", "credentials role", "ack oidc", "ack role" or "ack ecs".
	By string `json:"by"`
	// Host and port of STS over https, and URLs over http.
	Host     string `json:"host"`
	URL      string `json:"url"`
	Metadata string `json:"metadata"`
	// What is to be shown.
	Key        string `json:"key"`
	Secret     string `json:"secret"`
	Token      string `json:"token"`
	Role       string `json:"role"`
	Provider   string `json:"provider"`
	TokenFile  string `json:"tokenFile"`
	ExternalID string `json:"externalId"`
	Policy     string `json:"policy"`
}

type result struct {
	ID     string `json:"id,omitempty"`
	Secret string `json:"secret,omitempty"`
	Token  string `json:"token,omitempty"`
	Error  string `json:"error,omitempty"`
}

func main() {
	lines, out := bufio.NewScanner(os.Stdin), json.NewEncoder(os.Stdout)
	for lines.Scan() {
		var o order
		if err := json.Unmarshal(lines.Bytes(), &o); err != nil {
			fmt.Fprintln(os.Stderr, "sts:", err)
			os.Exit(1)
		}
		got, err := signIn(o)
		if err != nil {
			got = &result{Error: err.Error()}
		}
		if err := out.Encode(got); err != nil {
			os.Exit(1)
		}
	}
}

func signIn(o order) (*result, error) {
	if way, found := strings.CutPrefix(o.By, "credentials "); found {
		return byCredentials(way, o)
	}
	return byAck(strings.TrimPrefix(o.By, "ack "), o)
}

func byCredentials(way string, o order) (*result, error) {
	config := new(credentials.Config).SetRoleArn(o.Role).SetRoleSessionName("judge").SetSTSEndpoint(o.Host)
	if o.Policy != "" {
		config.SetPolicy(o.Policy)
	}
	switch way {
	case "oidc":
		config.SetType("oidc_role_arn").SetOIDCProviderArn(o.Provider).SetOIDCTokenFilePath(o.TokenFile)
	case "role":
		config.SetType("ram_role_arn").SetAccessKeyId(o.Key).SetAccessKeySecret(o.Secret)
		if o.Token != "" {
			config.SetSecurityToken(o.Token)
		}
		if o.ExternalID != "" {
			config.SetExternalId(o.ExternalID)
		}
	default:
		return nil, fmt.Errorf("no way %q", way)
	}
	credential, err := credentials.NewCredential(config)
	if err != nil {
		return nil, err
	}
	key, err := credential.GetCredential()
	if err != nil {
		return nil, err
	}
	return &result{
		ID:     tea.StringValue(key.AccessKeyId),
		Secret: tea.StringValue(key.AccessKeySecret),
		Token:  tea.StringValue(key.SecurityToken),
	}, nil
}

func byAck(way string, o order) (*result, error) {
	var provider ack.CredentialsProvider
	switch way {
	case "oidc":
		// It takes the names of variables only.
		os.Setenv("JUDGE_ROLE", o.Role)
		os.Setenv("JUDGE_PROVIDER", o.Provider)
		os.Setenv("JUDGE_TOKEN_FILE", o.TokenFile)
		provider = ack.NewOIDCProvider(ack.OIDCProviderOptions{
			STSEndpoint:        o.URL,
			SessionName:        "judge",
			EnvRoleArn:         "JUDGE_ROLE",
			EnvOIDCProviderArn: "JUDGE_PROVIDER",
			EnvOIDCTokenFile:   "JUDGE_TOKEN_FILE",
		})
	case "role":
		var first ack.CredentialsProvider = ack.NewAccessKeyProvider(o.Key, o.Secret)
		if o.Token != "" {
			first = ack.NewSTSTokenProvider(o.Key, o.Secret, o.Token)
		}
		provider = ack.NewRoleArnProvider(first, o.Role, ack.RoleArnProviderOptions{
			STSEndpoint: o.URL,
			SessionName: "judge",
		})
	case "ecs":
		provider = ack.NewECSMetadataProvider(ack.ECSMetadataProviderOptions{Endpoint: o.Metadata})
	default:
		return nil, fmt.Errorf("no way %q", way)
	}
	key, err := provider.Credentials(context.Background())
	if err != nil {
		return nil, err
	}
	return &result{ID: key.AccessKeyId, Secret: key.AccessKeySecret, Token: key.SecurityToken}, nil
}
