# Completion of tokengate for fish. It asks the installed tokengate, and never needs to be renewed.
function __tokengate_complete
    set -l line (commandline -cp | string collect)
    set -l variables
    # Variables that stand in the line, such as in --redis-url $URL.
    for name in (string match -ra '\$[A-Za-z_]\w*' -- $line | string sub -s 2)
        set -q $name; and set -a variables $name=(string join ' ' -- $$name)
    end
    set -l variables (string join \n -- $variables | string collect)
    set -l rows (TOKENGATE_COMPLETE_LINE=$line TOKENGATE_COMPLETE_VARIABLES=$variables command tokengate __complete fish 2>/dev/null </dev/null)
    switch "$rows[1]"
        case values
            printf '%s\n' $rows[2..-1]
        case files
            __fish_complete_path (commandline -ct)
    end
end
complete -c tokengate -f -k -a '(__tokengate_complete)'
