{{- /* toYaml quotes what YAML would read as a number or a boolean, and nothing else: names such as 42
     and "off" are names. */ -}}
{{- define "phone-migration-operator.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- /* At most 46 characters, so that the longest suffix still makes a label's value. */ -}}
{{- define "phone-migration-operator.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 46 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 46 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 46 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "phone-migration-operator.selectorLabels" -}}
app.kubernetes.io/name: {{ include "phone-migration-operator.name" . | toYaml }}
app.kubernetes.io/instance: {{ .Release.Name | toYaml }}
{{- end }}

{{- define "phone-migration-operator.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "phone-migration-operator.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "phone-migration-operator.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "phone-migration-operator.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- required "serviceAccount.name is needed with serviceAccount.create=false" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "phone-migration-operator.image" -}}
{{- $tag := default .Chart.AppVersion .Values.image.tag }}
{{- printf "%s:%s" .Values.image.repository $tag }}
{{- with .Values.image.digest }}@{{ . }}{{ end }}
{{- end }}

{{- define "phone-migration-operator.fingerprintKeySecret" -}}
{{- default (printf "%s-fingerprint-key" (include "phone-migration-operator.fullname" .)) .Values.fingerprintKey.existingSecret }}
{{- end }}

{{- /* Whom the rights are given to. */ -}}
{{- define "phone-migration-operator.subjects" -}}
- kind: ServiceAccount
  name: {{ include "phone-migration-operator.serviceAccountName" . | toYaml }}
  namespace: {{ .Release.Namespace | toYaml }}
{{- end }}

{{- /* The port of the OTLP collector: that of its URL, or its scheme's. */ -}}
{{- define "phone-migration-operator.otlpPort" -}}
{{- $url := urlParse .Values.tracing.otlpEndpoint -}}
{{- regexFind ":[0-9]+$" $url.host | trimPrefix ":" | default (ternary "443" "80" (eq $url.scheme "https")) -}}
{{- end -}}

{{- /* Whether the pod gets a token for STS from here: not from the webhook. */ -}}
{{- define "phone-migration-operator.projectsToken" -}}
{{- if and (eq .Values.credentials.source "rrsa") .Values.credentials.rrsa.roleArn }}yes{{ end }}
{{- end }}

{{- /* Flags of the credentials. */ -}}
{{- define "phone-migration-operator.credentialsArgs" -}}
{{- with .Values.credentials -}}
- {{ if eq .source "secret" }}--credentials-dir=/var/run/secrets/alibaba-cloud{{ else }}--credentials={{ ternary "oidc" "ecs" (eq .source "rrsa") }}{{ end }}
{{- with .assumeRole.roleArn }}
- --assume-role-arn={{ . }}
{{- end }}
{{- with .assumeRole.externalId }}
- --assume-role-external-id={{ . }}
{{- end }}
{{- with .stsRegion }}
- --sts-region={{ . }}
{{- end }}
{{- with .stsEndpoint }}
- --sts-endpoint={{ . }}
{{- end }}
{{- end }}
{{- end }}
