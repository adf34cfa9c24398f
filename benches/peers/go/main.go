// The admin's list of live sessions in Go with AWS SDK v2: one client for all calls, which keeps its connection. The
// loop of the Runtime API is written out, as for Node; the official library does more for each call.
package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"log"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

type request struct {
	RouteKey       string            `json:"routeKey"`
	Headers        map[string]string `json:"headers"`
	PathParameters map[string]string `json:"pathParameters"`
}

type response struct {
	StatusCode int               `json:"statusCode"`
	Headers    map[string]string `json:"headers"`
	Body       string            `json:"body"`
}

type claims struct {
	Subject string  `json:"sub"`
	Role    string  `json:"role"`
	Expires float64 `json:"exp"`
}

// An item of the table. Its times are milliseconds since 1970.
type item struct {
	UserID       string `dynamodbav:"user_id"`
	SortKey      string `dynamodbav:"sk"`
	DeviceName   string `dynamodbav:"device_name"`
	DeviceType   string `dynamodbav:"device_type"`
	Browser      string `dynamodbav:"browser"`
	OS           string `dynamodbav:"os"`
	IPAddress    string `dynamodbav:"ip_address"`
	SignedInIP   string `dynamodbav:"signed_in_ip"`
	CreatedAt    int64  `dynamodbav:"created_at"`
	LastActivity int64  `dynamodbav:"last_activity"`
	ExpiresAt    int64  `dynamodbav:"expires_at"`
}

type session struct {
	ID           string `json:"id"`
	UserID       int64  `json:"user_id"`
	DeviceName   string `json:"device_name"`
	DeviceType   string `json:"device_type"`
	Browser      string `json:"browser"`
	OS           string `json:"os"`
	IPAddress    string `json:"ip_address"`
	SignedInIP   string `json:"signed_in_ip"`
	CreatedAt    string `json:"created_at"`
	LastActivity string `json:"last_activity"`
	ExpiresAt    string `json:"expires_at"`
	IsActive     bool   `json:"is_active"`
}

var (
	table  = os.Getenv("TABLE_NAME")
	secret = []byte(os.Getenv("JWT_SECRET"))
)

func main() {
	settings, err := config.LoadDefaultConfig(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	// Debian's version of the SDK does not read this variable.
	endpoint := dynamodb.EndpointResolverFromURL(os.Getenv("AWS_ENDPOINT_URL_DYNAMODB"))
	client := dynamodb.NewFromConfig(settings, dynamodb.WithEndpointResolver(endpoint))
	invocations := "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime/invocation/"
	for {
		if err := serve(client, invocations); err != nil {
			log.Fatal(err)
		}
	}
}

// Fetches one event and hands back the response.
func serve(client *dynamodb.Client, invocations string) error {
	next, err := http.Get(invocations + "next")
	if err != nil {
		return err
	}
	defer next.Body.Close()
	var event request
	if err := json.NewDecoder(next.Body).Decode(&event); err != nil {
		return err
	}
	answer, err := handle(client, event)
	if err != nil {
		return err
	}
	body, err := json.Marshal(answer)
	if err != nil {
		return err
	}
	url := invocations + next.Header.Get("Lambda-Runtime-Aws-Request-Id") + "/response"
	sent, err := http.Post(url, "application/json", bytes.NewReader(body))
	if err != nil {
		return err
	}
	return sent.Body.Close()
}

func handle(client *dynamodb.Client, event request) (response, error) {
	caller := verify(event.Headers["authorization"])
	if caller == nil {
		return respond(401, map[string]string{"detail": "The token is not valid"})
	}
	if caller.Role != "admin" {
		return respond(403, map[string]string{"detail": "Only admins can view other users' sessions"})
	}
	if event.RouteKey != "GET /sessions/user/{user_id}" {
		return respond(404, map[string]string{"detail": "There is no such route"})
	}
	sessions, err := liveSessions(client, event.PathParameters["user_id"])
	if err != nil {
		return response{}, err
	}
	return respond(200, sessions)
}

func respond(status int, body any) (response, error) {
	text, err := json.Marshal(body)
	return response{status, map[string]string{"content-type": "application/json"}, string(text)}, err
}

func liveSessions(client *dynamodb.Client, user string) ([]session, error) {
	page, err := client.Query(context.Background(), &dynamodb.QueryInput{
		TableName:                 &table,
		IndexName:                 aws.String("live"),
		ConsistentRead:            aws.Bool(true),
		KeyConditionExpression:    aws.String("user_id = :user"),
		ExpressionAttributeValues: map[string]types.AttributeValue{":user": &types.AttributeValueMemberS{Value: user}},
		ScanIndexForward:          aws.Bool(false),
	})
	if err != nil {
		return nil, err
	}
	var items []item
	if err := attributevalue.UnmarshalListOfMaps(page.Items, &items); err != nil {
		return nil, err
	}
	now, sessions := time.Now().UnixMilli(), []session{}
	for _, each := range items {
		if each.SortKey != "profile" && now < each.ExpiresAt {
			sessions = append(sessions, view(each))
		}
	}
	return sessions, nil
}

func view(of item) session {
	// A user without a number does not occur here.
	user, _ := strconv.ParseInt(of.UserID, 10, 64)
	return session{
		ID: strings.TrimPrefix(of.SortKey, "session#"), UserID: user,
		DeviceName: of.DeviceName, DeviceType: of.DeviceType, Browser: of.Browser, OS: of.OS,
		IPAddress: of.IPAddress, SignedInIP: of.SignedInIP, CreatedAt: rfc3339(of.CreatedAt),
		LastActivity: rfc3339(of.LastActivity), ExpiresAt: rfc3339(of.ExpiresAt), IsActive: true,
	}
}

func rfc3339(millis int64) string {
	return time.UnixMilli(millis).UTC().Format("2006-01-02T15:04:05.000Z")
}

// The claims of a bearer token that is signed with HS256 by our secret and has not expired; else nil.
func verify(authorization string) *claims {
	scheme, token, _ := strings.Cut(authorization, " ")
	parts := strings.Split(token, ".")
	if !strings.EqualFold(scheme, "Bearer") || len(parts) != 3 {
		return nil
	}
	var header struct{ Alg string }
	var payload claims
	if !decode(parts[0], &header) || header.Alg != "HS256" || !decode(parts[1], &payload) {
		return nil
	}
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(parts[0] + "." + parts[1]))
	given, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil || !hmac.Equal(given, mac.Sum(nil)) {
		return nil
	}
	if payload.Subject == "" || payload.Expires <= float64(time.Now().Unix()) {
		return nil
	}
	return &payload
}

func decode(part string, into any) bool {
	text, err := base64.RawURLEncoding.DecodeString(part)
	return err == nil && json.Unmarshal(text, into) == nil
}
