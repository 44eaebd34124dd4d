namespace Fixtures;

public static class DependencyText
{
    public static string Text => "dependency 2";
}
