# Completion of tokengate for PowerShell. It asks the installed tokengate, and never needs to be renewed.
Register-ArgumentCompleter -Native -CommandName @('tokengate', 'tokengate.cmd', 'tokengate.ps1') -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)
    $words = New-Object System.Collections.ArrayList
    $current = ''
    foreach ($element in ($commandAst.CommandElements | Select-Object -Skip 1)) {
        if ($element.Extent.StartOffset -ge $cursorPosition) { break }
        if ($element -is [System.Management.Automation.Language.VariableExpressionAst]) {
            $value = Get-Variable -Name $element.VariablePath.UserPath -ValueOnly -ErrorAction SilentlyContinue
        } elseif ($element -is [System.Management.Automation.Language.StringConstantExpressionAst]) {
            $value = $element.Value
        } elseif ($element -is [System.Management.Automation.Language.CommandParameterAst] -or
            $element -is [System.Management.Automation.Language.ConstantExpressionAst]) {
            $value = $element.Extent.Text
        } else {
            $value = $null
        }
        if ($element.Extent.EndOffset -ge $cursorPosition) { $current = "$value" } else { [void]$words.Add($value) }
    }
    $variable = 'Env:TOKENGATE_COMPLETE_LINE'
    try {
        Set-Item -Path $variable -Value (@{ words = @($words); current = $current } | ConvertTo-Json -Compress)
        $rows = & tokengate __complete powershell 2>$null | Out-String | ConvertFrom-Json
        foreach ($row in $rows) {
            [System.Management.Automation.CompletionResult]::new($row.text, $row.shown, 'ParameterValue', $row.tip)
        }
    } catch {
        # Nothing is completed.
    } finally {
        Remove-Item -Path $variable -ErrorAction SilentlyContinue
    }
}
