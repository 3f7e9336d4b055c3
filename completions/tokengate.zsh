#compdef tokengate
# Completion of tokengate for zsh. It asks the installed tokengate, and never needs to be renewed.
_tokengate() {
    local line rest row
    local -a names rows values texts
    line="${(j: :)words[1,CURRENT-1]} $QIPREFIX$IPREFIX$PREFIX"
    # Variables that stand in the line, such as in --redis-url $URL.
    rest=$line
    while [[ $rest =~ '\$\{?([A-Za-z_][A-Za-z0-9_]*)(.*)' ]]; do
        names+=("$match[1]")
        rest=$match[2]
    done
    rows=("${(@f)$(
        exec 2>/dev/null </dev/null
        (( $#names )) && export "$names[@]"
        TOKENGATE_COMPLETE_LINE=$line command tokengate __complete zsh
    )}")
    case $rows[1] in
    values)
        for row in "${(@)rows[2,-1]}"; do
            values+=("${row%%$'\t'*}")
            row="${(r:28:)${row%%$'\t'*}}  ${row#*$'\t'}"
            texts+=("${row[1,COLUMNS-1]}")
        done
        if [[ ${rows[2]#*$'\t'} == '' ]]; then
            compadd -V tokengate -a values
        else
            compadd -V tokengate -l -d texts -a values
        fi
        ;;
    files) _files ;;
    *) return 1 ;;
    esac
}
if [[ $funcstack[1] == _tokengate ]]; then
    _tokengate "$@"
else
    (( $+functions[compdef] )) || { autoload -Uz compinit && compinit -i }
    compdef _tokengate tokengate
fi
