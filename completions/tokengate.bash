# Completion of tokengate for bash. It asks the installed tokengate, and never needs to be renewed.
_tokengate() {
    local line="${COMP_LINE:0:COMP_POINT}" rest reply row columns=
    local -a names
    names=()
    # Variables that stand in the line, such as in --redis-url $URL.
    rest=$line
    while [[ $rest =~ \$\{?([A-Za-z_][A-Za-z0-9_]*)(.*) ]]; do
        names[${#names[@]}]=${BASH_REMATCH[1]}
        rest=${BASH_REMATCH[2]}
    done
    # bash only shows what it gets now, and puts nothing in.
    [[ $COMP_TYPE == 63 ]] && columns=$COLUMNS
    COMPREPLY=()
    reply=$(
        exec 2>/dev/null </dev/null
        [[ ${#names[@]} -gt 0 ]] && export "${names[@]}"
        export TOKENGATE_COMPLETE_LINE=$line TOKENGATE_COMPLETE_WORD=$2 TOKENGATE_COMPLETE_COLUMNS=$columns
        command tokengate __complete bash
    )
    case $reply in
    values*)
        compopt -o nosort 2>/dev/null
        while IFS= read -r row; do
            COMPREPLY[${#COMPREPLY[@]}]=$row
        done <<<"${reply#*$'\n'}"
        ;;
    files*) compopt -o default 2>/dev/null ;;
    esac
    return 0
}
complete -F _tokengate tokengate
