// Command sdk calls CAMS by Alibaba Cloud's own SDK core: one JSON order per line on standard input,
// one JSON result per line on standard output.
//
// It judges the simulator: the simulator must accept what the SDK signs and sends, and the SDK must
// take each answer for what it is in the cloud: a value, or one of the SDK's errors.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"

	openapi "github.com/alibabacloud-go/darabonba-openapi/v2/client"
	models "github.com/alibabacloud-go/darabonba-openapi/v2/utils"
	"github.com/alibabacloud-go/tea/dara"
)

type order struct {
	URL string `json:"url"`
	// "v3" is ACS3-HMAC-SHA256, "v2" is RPC v1 with HMAC-SHA1: the SDK's own words.
	Algorithm string            `json:"algorithm"`
	Key       string            `json:"key"`
	Secret    string            `json:"secret"`
	Token     string            `json:"token"`
	Action    string            `json:"action"`
	Params    map[string]string `json:"params"`
}

type result struct {
	// Whether the answer is no error to the SDK.
	OK     bool `json:"ok"`
	Status any  `json:"status"`
	Body   any  `json:"body,omitempty"`
	// The type of the SDK's error, and what it holds.
	Error        string         `json:"error,omitempty"`
	Code         string         `json:"code,omitempty"`
	Message      string         `json:"message,omitempty"`
	RequestID    string         `json:"requestId,omitempty"`
	AccessDenied map[string]any `json:"accessDenied,omitempty"`
}

// actions are the names of the operations in Alibaba Cloud's generated CAMS client (cams20200606
// 5.3.1), which sends each with POST and all parameters in the query.
var actions = map[string]string{
	"verified": "ChatappMigrationVerified",
	"status":   "GetPhoneNumberVerificationStatus",
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "sdk:", err)
		os.Exit(1)
	}
}

func run() error {
	lines, out := bufio.NewScanner(os.Stdin), json.NewEncoder(os.Stdout)
	for lines.Scan() {
		var o order
		if err := json.Unmarshal(lines.Bytes(), &o); err != nil {
			return err
		}
		called, err := call(o)
		if err != nil {
			return err
		}
		if err := out.Encode(called); err != nil {
			return err
		}
	}
	return lines.Err()
}

func call(o order) (*result, error) {
	to, err := url.Parse(o.URL)
	if err != nil {
		return nil, err
	}
	action, known := actions[o.Action]
	if !known {
		return nil, fmt.Errorf("no action %q", o.Action)
	}
	config := &models.Config{
		AccessKeyId:     dara.String(o.Key),
		AccessKeySecret: dara.String(o.Secret),
		Protocol:        dara.String("http"),
		Endpoint:        dara.String(to.Host),
	}
	if o.Token != "" {
		config.SecurityToken = dara.String(o.Token)
	}
	if o.Algorithm == "v2" {
		config.SignatureAlgorithm = dara.String("v2")
	}
	client, err := openapi.NewClient(config)
	if err != nil {
		return nil, err
	}
	// Its errors by type, instead of all as one.
	client.DisableSDKError = dara.Bool(true)
	params := &models.Params{
		Action:      dara.String(action),
		Version:     dara.String("2020-06-06"),
		Protocol:    dara.String("HTTPS"),
		Pathname:    dara.String("/"),
		Method:      dara.String("POST"),
		AuthType:    dara.String("AK"),
		Style:       dara.String("RPC"),
		ReqBodyType: dara.String("formData"),
		BodyType:    dara.String("json"),
	}
	query := map[string]*string{}
	for name, value := range o.Params {
		query[name] = dara.String(value)
	}
	answer, err := client.CallApi(params, &models.OpenApiRequest{Query: query}, &dara.RuntimeOptions{})
	if err != nil {
		return failure(err)
	}
	return &result{OK: true, Status: answer["statusCode"], Body: answer["body"]}, nil
}

// sdkError is what the SDK's three kinds of errors have in common.
type sdkError interface {
	error
	GetStatusCode() *int
	GetCode() *string
	GetMessage() *string
	GetRequestId() *string
	GetAccessDeniedDetail() map[string]any
}

// failure is an answer that is an error to the SDK; any other error stays one.
func failure(err error) (*result, error) {
	var e sdkError
	if !errors.As(err, &e) {
		return nil, err
	}
	return &result{
		Status:       dara.IntValue(e.GetStatusCode()),
		Error:        strings.TrimPrefix(fmt.Sprintf("%T", e), "*client."),
		Code:         dara.StringValue(e.GetCode()),
		Message:      dara.StringValue(e.GetMessage()),
		RequestID:    dara.StringValue(e.GetRequestId()),
		AccessDenied: e.GetAccessDeniedDetail(),
	}, nil
}
